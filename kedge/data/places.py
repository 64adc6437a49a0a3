"""Where the files lie that an annotation names: never outside of the data folder.

A name is taken as it is written first. Where there is no such file, it is compared with the files
that there are, apart from what programs and systems write differently: the slash, the Unicode form,
the case, folders in front, a project's id, a URL. It counts only where one file alone fits, and one
name alone fits that file. A file in a folder of another split never does.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from kedge.data.names import LONGEST, Index, inside, is_file
from kedge.data.problems import Problems


def locate(
    root: Path,
    bases: Sequence[Path],
    names: Iterable[tuple[str, str]],
    problems: Problems,
    suffixes: Sequence[str] = (),
    split: str | None = None,
) -> list[Path | None]:
    """The file of every (name, where it is said): the first of `bases` that has it, else the one
    file below `root` that fits.

    None, with the problem recorded, for a name that leads out of `root` (refused) or that no file,
    or more than one, fits (dropped or an error). `suffixes`: endings to try where a name has none.
    `split`: of what split the names are, where that is known.
    """
    asked = list(names)
    root = root.resolve()
    bases = [base for base in bases if inside(root, base, ".") is not None] or [root]
    found = [_as_written(root, bases, name, suffixes) for name, _ in asked]
    lost = [i for i, path in enumerate(found) if path is None]
    if not lost:
        return found
    index = Index(root, bases, suffixes, split)
    for i in lost:
        found[i] = index.find(asked[i][0])
    names_of: dict[Path | None, set[str]] = {}
    for (name, _), path in zip(asked, found):
        names_of.setdefault(path, set()).add(name)
    mended = []
    for i in lost:
        name, path = asked[i][0], found[i]
        if path is not None and len(names_of[path]) > 1:  # whose is it?
            found[i] = path = None
        if path is None:
            _missing(root, bases, *asked[i], problems, index)
        else:
            mended.append((name, path))
    if mended:
        name, path = mended[0]
        message = (
            "these names are not quite those of the files (slash, case, Unicode form, folders in "
            f"front, or a URL); each fits one file alone: {name!r} is {path.relative_to(root)}"
        )
        problems.note("file found under another name", "", "", message, count=len(mended))
    return found


def _as_written(
    root: Path, bases: Sequence[Path], name: str, suffixes: Sequence[str]
) -> Path | None:
    for ending in ("", *suffixes):
        for base in bases if name else ():
            path = inside(root, base, name + ending)
            if path is not None and is_file(path):
                return path
    return None


def _missing(
    root: Path, bases: Sequence[Path], name: str, where: str, problems: Problems, index: "Index"
) -> None:
    paths = [inside(root, base, name) for base in bases] if name else []
    alike, fitting = index.alike(name), index.of_its_split(name)
    few = ", ".join(str(path.relative_to(root)) for path in (fitting or alike)[:3])
    if len(name) > LONGEST:
        message = f"a path of {len(name)} characters is none"
        problems.add("missing image", name, where, message)
    elif None in paths or not paths:
        message = (
            f"the path leaves the data folder {root} (symbolic links resolved): move the file "
            "into the folder"
        )
        problems.refuse("path outside the folder", name, where, message)
    elif fitting:
        message = f"no such file, and no one file fits it alone ({few}): write the whole path"
        problems.add("missing image", name, where, message)
    elif alike:
        message = (
            f"no such file in its split; those of this name are another split's ({few}): put the "
            "image there, or write the whole path"
        )
        problems.add("missing image", name, where, message)
    else:
        problems.add("missing image", name, where, f"no such file: looked for {paths[0]}")
