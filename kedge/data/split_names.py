"""What folders and files call a split, and what Kedge calls it."""

import re
from collections.abc import Iterable

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_IN_A_NAME = re.compile(r"(?:^|[^a-z])(trainval|minival|train|validation|valid|val|test)(?![a-z])")


def short(name: str) -> str:
    """A split's own name: "val" for "valid" and "validation", any other as it is."""
    return SPLITS.get(name, name)


def split_in(stem: str) -> str | None:
    """The split that the name of a file speaks of ("my_valid_labels" is "val"), if any."""
    match = _IN_A_NAME.search(stem.lower())
    return short(match[1]) if match else None


def splits_in(words: Iterable[str]) -> set[str]:
    """Which of train, val and test the words of a path speak of ("train2017", "valid")."""
    return {split for word in words if (split := split_in(word)) in SPLITS}
