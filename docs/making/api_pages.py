"""The API reference: one page a room of CONTRIBUTING.md's table, filled in by mkdocstrings."""

import re

from measured import table
from written import ROOT

WITHOUT = {"commands", "demo", "cli"}  # the command line says what these do


def rooms() -> dict[str, str]:
    """What every room holds, from the ground up."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+)(?:/|\.py)` \| (.+) \|$", text, re.M))


def api_pages() -> dict[str, str]:
    """Markdown by its path in the site."""
    shown = {room: holds for room, holds in rooms().items() if room not in WITHOUT}
    pages = {f"api/{room}.md": _page(room, holds) for room, holds in shown.items()}
    listed = table([{"room": f"[{room}]({room}.md)", "holds": shown[room]} for room in shown])
    text = f"# API\n\nThe rooms of the library, from the ground up.\n\n{listed}\n"
    return {"api/index.md": text} | pages


def _page(room: str, holds: str) -> str:
    title = f"# kedge.{room}\n\n{holds[0].upper()}{holds[1:]}.\n"
    folder = ROOT / "kedge" / room
    if not folder.is_dir():
        return f"{title}\n::: kedge.{room}\n"
    files = sorted(
        path.relative_to(ROOT).with_suffix("")
        for path in folder.rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    )
    names = [".".join(file.parts) for file in files]
    return title + "".join(f"\n::: {name}\n" for name in names)
