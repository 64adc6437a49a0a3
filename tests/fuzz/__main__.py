"""`python -m fuzz`: see fuzz.run."""

import argparse
import json
import sys
import time
from pathlib import Path

from fuzz.run import fuzz, fuzz_command_line


def main() -> int:
    parser = argparse.ArgumentParser(description="Damaged data sets, read.")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=1_000, help="through the command line")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after this long")
    parser.add_argument("--only", type=int, help="this input alone, left in --keep")
    parser.add_argument("--keep", type=Path, help="a folder")
    parser.add_argument("--out", type=Path, help="write the figures here")
    chosen = parser.parse_args()
    start = time.perf_counter()
    tally = fuzz(chosen.inputs, chosen.seed, chosen.minutes, chosen.only, chosen.keep)
    facts = tally.facts() | {"seconds": round(time.perf_counter() - start)}
    lines = [] if chosen.only is not None else fuzz_command_line(chosen.lines, chosen.seed)
    facts |= {"command_lines": 0 if chosen.only is not None else chosen.lines}
    facts |= {"command_line_faults": len(lines)}
    for number, form, what in [*tally.faults, *lines][:40]:
        print(f"{number} {form}: {what}")
    print(json.dumps(facts, indent=1))
    if chosen.out is not None:
        _write(chosen.out, chosen, facts)
    return int(bool(tally.faults or lines))


def _write(path: Path, chosen: argparse.Namespace, facts: dict) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
    from _record import record

    command = f"make fuzz (python -m fuzz --inputs {chosen.inputs} --minutes {chosen.minutes:g})"
    record(path.stem, command, [facts], chosen.seed)


if __name__ == "__main__":
    sys.exit(main())
