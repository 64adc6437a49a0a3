"""The page's section about Kedge inside other frameworks: the rows, and the goals they miss."""

from collections.abc import Callable

from _record import table

Load = Callable[[str], dict | None]
Facts = Callable[[dict], str]
GOALS = "never below 1.0; at 1,000 objects 100 times as fast, under 2 % of the memory"


def dropin(load: Load, facts: Facts) -> str:
    """Losses, whole steps, few objects, the crowd, and an epoch; what has not run is left out."""
    parts = [
        losses(load("dropin"), facts),
        rows_of(load("dropin_step"), facts, "Whole steps of training, image to gradient."),
        rows_of(
            load("dropin_crossover"), facts,
            "Few objects, always without the peer's table: from these ratios come the limits, in "
            "anchors times objects, up to which an adapter leaves a batch to the peer.",
        ),
        rows_of(
            load("dropin_crowd"), facts,
            "A batch of 16 images with 75,357 objects through YOLO11n's own loss; its tables "
            "would not fit.",
        ),
        epoch(load("dropin_epoch"), facts),
    ]  # fmt: skip
    text = "\n".join(part for part in parts if part)
    return f"\n## Inside other frameworks\n\n{text}" if text else ""


def rows_of(result: dict | None, facts: Facts, text: str) -> str:
    return "" if result is None else f"{text}\n\n{table(result['rows'])}\n\n{facts(result)}"


def losses(result: dict | None, facts: Facts) -> str:
    """The loss of a batch, and the goals that its rows miss."""
    if result is None:
        return ""
    met = [row for row in result["rows"] if "times" in row]
    slow = [row for row in met if row["times"] < 1]
    many = [row for row in met if row["objects"] == 1000]
    misses = [
        *(f"{named(row)} {row['times']:.2f} times" for row in slow),
        *(f"{named(row)} {row['times']:.0f} times" for row in many if row["times"] < 100),
        *(
            f"{named(row)} {100 * row['kedge MB'] / row['peer MB']:.1f} % of the memory"
            for row in many
            if row["kedge MB"] > 0.02 * row["peer MB"]
        ),
    ]
    said = f"Missed: {'; '.join(misses)}." if misses else "No row misses them."
    return rows_of(
        result,
        facts,
        "The loss of a batch (assignment included), peer alone and with Kedge as it is used: small "
        f"batches are left to the peer's own table. Goals: {GOALS}. {said}",
    )


def named(row: dict) -> str:
    return f"{row['peer']} {row['batch']} x {row['objects']}"


def epoch(result: dict | None, facts: Facts) -> str:
    """One epoch of Ultralytics' trainer, and whether the curves are one."""
    if result is None:
        return ""
    rows, used = result["rows"], result["settings"]
    alone, ours = (row["seconds"] for row in rows)
    differ = result["steps_that_differ"]
    steps = zip(*result["curves"], strict=True)
    most = max(abs(a - b) / max(abs(a), 1e-12) for one, other in steps for a, b in zip(one, other))
    curve = "the same in every step"
    if differ:
        curve = f"different in {differ} of {rows[0]['steps']} steps, by {most:.0e} of themselves"
    return rows_of(
        result,
        facts,
        f"{used['epochs']} epoch of {used['model']} by Ultralytics' own trainer on "
        f"`receipt_lines` ({result['images']} images, {result['objects']:,} objects), "
        f"{used['size']} px, batches of {used['batch']}: {ours:.0f} seconds of the processor with "
        f"Kedge, {alone:.0f} without; the losses are {curve}.",
    )
