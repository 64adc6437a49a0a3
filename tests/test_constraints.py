"""``make`` builds the same environment everywhere: all that it installs is pinned."""

from importlib.metadata import distribution

from conftest import REPOSITORY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(name: str, extras: frozenset[str]) -> dict[str, str]:
    """What a distribution with these extras needs here, directly or not, and who needs it."""
    found: dict[str, str] = {}
    waiting, seen = [(name, extras)], set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for text in distribution(name).requires or ():
            asked = Requirement(text)
            here = [asked.marker is None or asked.marker.evaluate({"extra": e}) for e in extras]
            if any(here):
                other = canonicalize_name(asked.name)
                found.setdefault(other, name)
                waiting.append((other, frozenset({"", *asked.extras})))
    return found


def test_all_that_the_development_environment_needs_is_pinned():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    stated = (line.partition("#")[0].partition("==")[0].strip() for line in lines)
    pinned = {canonicalize_name(name) for name in stated if name}
    found = needed("kedge", frozenset({"", "dev"}))
    assert len(found) > 60
    assert {name: by for name, by in found.items() if name not in pinned | {"kedge"}} == {}
