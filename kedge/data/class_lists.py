"""What is odd about a list of classes. None of it is an error: names are only names."""

from collections.abc import Callable, Mapping

from kedge.counted import count
from kedge.data.problems import Problems
from kedge.data.records import Data, Finding
from kedge.parse import shown


def look_at_classes(classes: tuple[str, ...], problems: Problems) -> None:
    """Note names that are empty, given to several classes, or the same but for case and spaces."""
    empty = [i for i, name in enumerate(classes) if not name.strip()]
    if empty:
        numbers = ", ".join(str(i) for i in empty[:5])
        message = f"class {numbers} has no name: every table and drawing shows a blank"
        problems.note("class without a name", "", "", message, count=len(empty))
    alike: dict[str, list[str]] = {}
    for name in classes:
        if name.strip():
            alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    for names in alike.values():
        if len(names) > 1 and len(set(names)) == 1:
            message = (
                f"{len(names)} classes are called {names[0]!r}: they are learned as different "
                "ones; join them, or give each its own name"
            )
            problems.note("classes of one name", "", "", message, count=len(names))
        elif len(names) > 1:
            message = (
                f"{', '.join(map(repr, names))} differ in case or spaces alone: if they are one "
                "class, write one name"
            )
            problems.note("class names alike", "", "", message, count=len(names))


def compare_splits(data: Data, classes_of: Mapping[str, Callable[[], tuple[str, ...]]]) -> None:
    """Note every other split whose classes are not those of `data`, in the same order."""
    for split, classes in classes_of.items():
        if split == data.split:
            continue
        try:
            other = tuple(shown(name) for name in classes())
        except ValueError as problem:
            _note(data, "split that cannot be read", f"split {split!r}: {problem}")
            continue
        if other != data.classes:
            _note(data, "splits with other classes", _difference(data, split, other))


def _difference(data: Data, split: str, other: tuple[str, ...]) -> str:
    mine, theirs = set(data.classes), set(other)
    number = count(len(data.classes), "class", "classes")
    said = f"split {data.split!r} has {number}, {split!r} {len(other)}"
    if mine == theirs:
        return f"{said}: the same names in another order, so one label means different classes"
    parts = [
        f"only {name!r} has {', '.join(map(repr, names[:5]))}" + (", ..." if names[5:] else "")
        for name, names in ((data.split, sorted(mine - theirs)), (split, sorted(theirs - mine)))
        if names
    ]
    both = mine & theirs
    if [name for name in data.classes if name in both] != [name for name in other if name in both]:
        parts.append("the names that they share stand in another order")
    return f"{said}: {'; '.join(parts)}; give all splits one list of classes"


def _note(data: Data, kind: str, message: str) -> None:
    text = shown(" ".join(message.split()))
    data.findings.append(Finding(kind=kind, image="", record="", message=text, action="kept"))
