"""The section "Assignment speed" of docs/benchmarks.md, from results/assign_speed_<group>.json."""

import json
import statistics
from collections.abc import Callable, Sequence

from _record import ROOT, table

FEW = ("few", "few_wide")
TITLES = {
    "max_iou": "MaxIoU against torchvision",
    "fixed": "Fixed rules",
    "predictions": "Prediction-aware rules",
    "peers": "Peers",
}

NOTES = {
    "peers": "The real code of Detectron2, MMDetection and Ultralytics (versions: "
    "constraints-peers.txt), image by image, with its own settings, against Kedge's rule with the "
    "same. Uniform differs by its declared rule of conflicts (the nearest object, not the last one "
    "written), TAL by the hundredth of a pixel that MMDetection asks for more, FCOS of torchvision "
    "and Detectron2 by their float32 key of areas.\n\n",
}


def results(name: str) -> dict | None:
    """The results of this name, if they have been measured."""
    path = ROOT / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def load(group: str) -> dict | None:
    """Those of a group of ``assign_speed.py``."""
    return results(f"assign_speed_{group}")


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits without an exponent; a dash for nothing."""
    if value is None:
        return "-"
    if value >= 10 ** (digits - 1) or value == 0:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}" if value >= 0.095 else "< 0.1"


def agreement(row: dict) -> str:
    """The share of equal labels; 100 % only where all are."""
    if "equal" not in row:
        return "-"
    return "100 %" if row["differ"] == 0 else f"{min(100 * row['equal'], 99.999):.3f} %"


def line(row: dict, extra: Sequence[str]) -> dict:
    """One line of a table."""
    other = row.get("other ms")
    return {
        "strategy": row["strategy"],
        **{key: row[key] for key in extra},
        "objects": f"{row['objects']:,}",
        "Kedge ms": number(row.get("kedge ms")),
        "other ms": row.get("left out") or number(other),
        "times": number(row.get("times")),
        "Kedge MB": number(row.get("kedge MB")),
        "other MB": number(row.get("other MB")),
        "one matrix, MB": number(row["matrix MB"]),
        "equal labels": agreement(row),
    }


def compared(group: str, facts: Callable[[dict], str]) -> str:
    """The table of one group."""
    result = load(group)
    if result is None:
        return ""
    extra = {"max_iou": ("image", "batch", "sizes"), "peers": ("against", "batch")}.get(group, ())
    keys = ("strategy", "image", "batch", "sizes", "against", "objects")
    rows = sorted(result["rows"], key=lambda row: [row[key] for key in keys])
    lines = [line(row, extra) for row in rows]
    note = NOTES.get(group, "") + (slower(rows) if group == "peers" else "")
    return f"\n### {TITLES[group]}\n\n{note}{table(lines)}\n\n{facts(result)}{of_commits(rows)}"


def slower(rows: list[dict]) -> str:
    """Where a peer's own code is faster: the goal is nowhere."""
    timed = [row for row in rows if "times" in row]
    behind = [
        f"{row['strategy']} ({row['against']}) {row['batch']} x {row['objects']} "
        f"{number(row['times'])}"
        for row in timed
        if row["times"] < 1
    ]
    said = f": {'; '.join(behind)}" if behind else ""
    return (
        "Goal: never slower than the peer. Kedge is slower in "
        f"{len(behind)} of {len(timed)} places (images x objects in each){said}.\n\n"
    )


def of_commits(rows: list[dict]) -> str:
    """Which rows are of which commit, where they are of several: by numbers of objects, or else by
    strategy."""
    of: dict[str, list[dict]] = {}
    for row in rows:
        of.setdefault(row.get("commit", ""), []).append(row)
    if len(of) < 2:
        return ""
    counts = {at: {row["objects"] for row in mine} for at, mine in of.items()}
    apart = sum(map(len, counts.values())) == len(set().union(*counts.values()))
    key = "objects" if apart else "strategy"
    parts = []
    for at, mine in of.items():
        names = [f"{v:,}" if apart else f"`{v}`" for v in sorted({row[key] for row in mine})]
        parts.append(f"at {at} those of {', '.join(names)}{' objects' if apart else ''}")
    return f"\nOf these rows {'; '.join(parts)}.\n"


def few(facts: Callable[[dict], str]) -> str:
    """The ratios for few objects, at every size that was measured."""
    tables = [few_at(result, facts) for name in FEW if (result := load(name)) is not None]
    return "\n### Few objects\n\n" + "\n\n".join(tables) if tables else ""


def few_at(result: dict, facts: Callable[[dict], str]) -> str:
    """A line a strategy, a column for each batch and number of objects."""
    rows = [row for row in result["rows"] if "times" in row]
    lines: dict[str, dict] = {}
    for row in sorted(rows, key=lambda row: (row["strategy"], row["batch"], row["objects"])):
        line = lines.setdefault(row["strategy"], {"strategy": row["strategy"]})
        line[f"{row['batch']} x {row['objects']}"] = number(row["times"])
    behind = [row for row in rows if row["times"] < 1]
    said = f"Kedge is slower in {len(behind)} of {len(rows)} places"
    if behind:
        by = sorted(row["kedge ms"] - row["other ms"] for row in behind)
        names = (f"`{name}`" for name in sorted({row["strategy"] for row in behind}))
        said += (
            f", by {number(by[-1])} ms a call at most and {number(statistics.median(by))} ms in the "
            f"median: {', '.join(names)}"
        )
    said += "."
    size = rows[0]["image"].replace("x", " x ")
    return (
        f"Time of the dense form over Kedge's at {size} px: images x objects in each. "
        f"Goal: nowhere below 1. {said}\n\n{table(list(lines.values()))}\n\n{facts(result)}"
        f"{of_commits(rows)}"
    )


def on_a_gpu(facts: Callable[[dict], str]) -> str:
    """The estimate of ``gpu_estimate.py``, and which rules it puts below their dense form."""
    result = results("gpu_estimate")
    if result is None:
        return ""
    shown: dict[str, dict] = {}
    for row in result["rows"]:
        line = shown.setdefault(row["rule"], {"strategy": row["rule"]})
        key = f"{row['batch']} x {row['objects']}"
        line[key] = f"{row['times']:.2f}"
        line[f"launches / waits, {key}"] = f"{row['launches']} / {row['waits']}"
    slow = [f"{r['rule']} {r['batch']} x {r['objects']}" for r in result["rows"] if r["times"] < 1]
    used = result["estimate"]
    return (
        "\n### On a GPU, estimated\n\nNot measured: no GPU was at hand. How many times as long the dense form would take, image "
        f"by image, from kernels launched ({used['launch us']:g} us each) and waits of the host ({used['wait us']:g} us), which "
        "are counted; the kernels' own time is left out. Batch x objects an image, 640 x 640 px.\n\n"
        f"{table(list(shown.values()))}\n\nBelow 1 by this estimate: {', '.join(slow) or 'none'}. "
        "Hungarian solves on the host, by the cheapest anchors that are copied there: neither is counted.\n\n"
        f"{facts(result)}"
    )


def native(facts: Callable[[dict], str]) -> str:
    """What a kernel in C++ wins, alone and in a step, and what follows."""
    result = results("native")
    if result is None:
        return ""
    kernels, steps = ([r for r in result["rows"] if r["what"] == w] for w in ("kernel", "step"))
    alone, most = [row["times"] for row in kernels], max(row["times"] for row in steps)
    differ = sum(row["differ"] for row in kernels)
    asked = 3
    if most >= asked:
        verdict = "so it is worth building."
    else:
        verdict = (
            "so there is none in Kedge on a processor: it would need a compiler or a wheel for every "
            "platform, a second form of each rule, and would not be seen. Whoever needs labels "
            "without a network gains by it. On a GPU nothing was measured."
        )
    return (
        "\n### A native kernel?\n\n`kernel`: MaxIoU on 640 x 640 px in C++ (benchmarks/native/max_iou.cpp), one thread, image by "
        f"image, beside Kedge's; {differ or 'no'} labels differ. `step`: a training step of eight images of 256 x 320 px with "
        "eight objects, beside the same step with an assignment that is known already, the most that any kernel could win. "
        f"Condition: {asked} times in whole steps. The kernel takes {min(alone):.2g} to {max(alone):.2g} times less; "
        f"a step would take {most:.2f} times less at most, {verdict}\n\n"
        f"{table([_without(row, 'what') for row in kernels])}\n\n"
        f"{table([_without(row, 'what') for row in steps])}\n\n{facts(result)}"
    )


def _without(row: dict, key: str) -> dict:
    return {name: value for name, value in row.items() if name != key}


def million(facts: Callable[[dict], str]) -> str:
    """The table of a million objects."""
    result = load("million")
    if result is None:
        return ""
    rows = sorted(result["rows"], key=lambda row: row["strategy"])
    lines = [
        {
            "strategy": row["strategy"],
            "anchors": f"{row['anchors']:,}",
            "seconds": number(row["seconds"]),
            "at first": number(row["before seconds"]),
            "times": number(row["times"]),
            "GB": number(row["GB"]),
            "GB at first": number(row["before GB"]),
            "one matrix, GB": number(row["matrix GB"]),
            "positives": f"{row['positives']:,}",
            "objects with an anchor": f"{row['objects with an anchor']:,}",
        }
        for row in rows
    ]
    reached = goal(
        rows, "Goal, 2 times as fast", lambda row: row["times"], lambda times: times >= 2, ".2g"
    )
    counts = all(row["same counts"] for row in rows)
    return (
        "\n### A million objects\n\nOne image of 20,000 x 20,000 px, sides log-normal around 20 "
        "px, the grids of RetinaNet, ATSS and FCOS; one call in a fresh process, the median of "
        f"three. At first: commit {rows[0]['before']}, in turns with this one; both give "
        f"{'as many' if counts else 'other numbers of'} positives, ignored anchors and objects "
        f"with an anchor. {reached}\n\n{table(lines)}\n\n{facts(result)}"
    )


# -- goals -----------------------------------------------------------------------------------------


def goal(rows: list[dict], what: str, value: Callable[[dict], float], met: Callable, show: str):
    """One sentence: how many rows meet a goal, and which do not."""
    known = [(row["strategy"], value(row)) for row in rows]
    missed = sorted((pair for pair in known if not met(pair[1])), key=lambda pair: pair[0])
    text = f"{what}: met by {len(known) - len(missed)} of {len(known)}"
    if missed:
        text += "; missed by " + ", ".join(f"{n} ({format(v, show)})" for n, v in missed)
    return text + "."


def goals(groups: Sequence[str] = ("max_iou", "fixed", "predictions")) -> str:
    """Which goals are met and which are not, counted from the rows."""
    rows = [row for group in groups for row in (load(group) or {"rows": []})["rows"]]
    rows = [r for r in rows if r["against"] == "dense" and "times" in r]
    rows = [r for r in rows if (r["image"], r["batch"], r["sizes"]) == ("800x1333", 1, "scene")]
    matrix = [r for r in rows if r["matrix"]]
    few, many = ([r for r in matrix if r["objects"] == n] for n in (8, 1000))
    cell = [r for r in rows if not r["matrix"]]
    if not few:
        return ""
    held = [r for r in many if r.get("other MB")]
    texts = [
        goal(few, "Never slower at 8 objects", lambda r: r["times"], lambda v: v >= 1, ".2g"),
        goal(many, "100 times faster at 1,000", lambda r: r["times"], lambda v: v >= 100, ".3g"),
        goal(
            held,
            "Less than 2 % of the dense memory at 1,000",
            lambda r: r["kedge MB"] / r["other MB"],
            lambda v: v < 0.02,
            ".2%",
        ),
    ]
    names = sorted({r["strategy"] for r in cell})
    if names:
        low, high = min(r["times"] for r in cell), max(r["times"] for r in cell)
        texts.append(
            f"{', '.join(names)} look at one cell per object in their released codes too, so there "
            f"is no matrix to save, and the plain form, without a batch, crowds or checks, takes "
            f"{low:.2f} to {high:.2f} times Kedge's time."
        )
    same = sum(r["differ"] == 0 for r in rows)
    texts.append(f"All labels are equal in {same} of {len(rows)} comparisons with a dense form.")
    return "\n**Goals**\n\n" + "\n".join(f"- {text}" for text in texts) + "\n"


def speed(facts: Callable[[dict], str]) -> str:
    """The whole section; empty before anything is measured."""
    tables = (
        few(facts)
        + "".join(compared(group, facts) for group in TITLES)
        + million(facts)
        + on_a_gpu(facts)
        + native(facts)
    )
    if not tables:
        return ""
    return (
        "\n## Assignment speed\n\n"
        "Each strategy on random scenes whose objects cover the image about once, in a process of "
        "its own with one thread: median processor time, and the rise of memory during a call. "
        "*Other* is a dense form of the same rule over anchors x objects, written for this "
        "benchmark from the paper (torchvision's own code for MaxIoU and SSDMatch), or the peer; "
        "*one matrix* is what a single float32 table of anchors x objects takes. The dense forms "
        "are kinder than the released codes: no table has classes as a third axis, and PAA's fits "
        "run all at once. Predictions are those of a head in the middle of training, 20 classes; "
        "MAL is half-way through its schedule. FreeAnchor, MAL, AutoAssign and DW give weights: "
        "their labels are the object of largest weight.\n\n"
        "Where labels differ from the dense form, anchors tie: an object inside several anchors "
        "has equal IoU with them, and `topk` takes any, Kedge the lowest (FreeAnchor, MAL, "
        "NoisyAnchors); on square cells L1 distances tie (Uniform). In tests/test_benchmarks.py, "
        "where ties are excluded or ordered alike, all labels are equal.\n" + goals() + tables
    )
