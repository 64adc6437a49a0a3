"""What every benchmark shares: run facts, an atomic results file, a printed table.

``record(name, command, rows, seed)`` writes ``results/<name>.json``: no host name, no path in it.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = (
    *("torch", "torchvision", "numpy", "scipy", "polars", "lightning", "hotcoco"),
    *("mmdet", "mmengine", "ultralytics"),  # in the environment of the peers
)


def commit(tree: Path = ROOT) -> str:
    """Short commit id of a checkout, with ``+changes`` when tracked files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=tree, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "kedge", "benchmarks")
        return git("rev-parse", "--short", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def hardware() -> dict[str, Any]:
    """Processor, its cores, threads torch uses, and the GPU if there is one."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def versions() -> dict[str, str]:
    """Python and the installed versions of the packages that matter."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def record(
    name: str,
    command: str,
    rows: Sequence[Mapping[str, Any]],
    seed: int | Sequence[int] | None,
    **facts: Any,
) -> Path:
    """Write ``results/<name>.json`` atomically: the rows and all that is needed to repeat them."""
    result = {
        "name": name,
        "command": command,
        "commit": commit(),
        "seed": seed,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "hardware": hardware(),
        "load_average": [round(x, 1) for x in os.getloadavg()],
        "versions": versions(),
        **facts,
        "rows": [dict(row) for row in rows],
    }
    path = ROOT / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    os.replace(part, path)
    return path


def with_earlier(
    name: str, rows: Sequence[Mapping[str, Any]], *keys: str
) -> list[Mapping[str, Any]]:
    """``rows``, and those that ``results/<name>.json`` holds of others, told apart by ``keys``."""
    path = ROOT / "results" / f"{name}.json"
    held = json.loads(path.read_text()) if path.exists() else {"rows": []}
    marked = any("commit" in row for row in rows)
    earlier = [{"commit": held["commit"]} | row if marked else row for row in held["rows"]]
    mine = {tuple(row[key] for key in keys) for row in rows}
    return [row for row in earlier if tuple(row[key] for key in keys) not in mine] + list(rows)


def with_earlier_command(name: str, command: str) -> str:
    """What made the rows of ``results/<name>.json``, and ``command``, which adds to them."""
    path = ROOT / "results" / f"{name}.json"
    return f"{json.loads(path.read_text())['command']}; {command}" if path.exists() else command


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 1e5 else f"{value:.3e}"
    return str(value)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as an aligned Markdown table; columns default to all keys in order of appearance."""
    names = list(columns or dict.fromkeys(key for row in rows for key in row))
    cells = [[_cell(row.get(n)) for n in names] for row in rows]
    width = [max(len(n), *(len(c[i]) for c in cells), 3) for i, n in enumerate(names)]
    numeric = [all(isinstance(r.get(n), (int, float, type(None))) for r in rows) for n in names]

    def line(parts: Sequence[str]) -> str:
        fitted = (
            p.rjust(w) if num else p.ljust(w)
            for p, w, num in zip(parts, width, numeric, strict=True)
        )
        return "| " + " | ".join(fitted) + " |"

    rule = ["-" * (w - 1) + ":" if num else "-" * w for w, num in zip(width, numeric, strict=True)]
    return "\n".join([line(names), line(rule), *(line(c) for c in cells)])
