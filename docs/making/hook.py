"""What ``mkdocs`` is told: pages made from the code, live views, executed notebooks.

Nothing of it is written into docs/. A comment ``<!-- view: NAME -->`` in a page becomes the view,
``<!-- tour -->`` all steps of the tour.
"""

import re
from typing import Any

from api_pages import api_pages
from detector_pages import detector_pages
from mkdocs.structure.files import File
from notebooks import NOTEBOOKS, notebook_pages
from strategy_pages import strategy_pages
from views import detector_views, step_name, strategy_views, tour_views
from written import ROOT

from kedge.assign.by_name import STRATEGIES
from kedge.detectors import DETECTORS
from kedge.live.tour import STEPS

COPIED = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def made_pages() -> dict[str, str]:
    """Every page that is made from the code without running anything for long."""
    copied = {page: (ROOT / file).read_text("utf-8") for page, file in COPIED.items()}
    return {**strategy_pages(), **detector_pages(), **api_pages(), **copied}


def shown(text: str, page: str) -> str:
    """A page with its comments filled in. ``page``: its path in the site."""
    up = "../" * page.count("/")
    text = text.replace("<!-- tour -->", _tour())
    return re.sub(r"<!-- view: ([\w-]+) -->", lambda found: _view(found[1], up), text)


def _tour() -> str:
    steps = enumerate(STEPS, 1)
    parts = [
        f"### {i}. {title}\n\n{text}\n\n<!-- view: {step_name(title)} -->"
        for i, (title, text, _, _) in steps
    ]
    return "\n\n".join(parts)


def _view(name: str, up: str) -> str:
    captions = _captioned()
    if name not in captions and name not in tour_views():
        return ""  # a detector without anchors
    caption = captions[name][1] if name in captions else ""
    frame = (
        f'<iframe class="view" loading="lazy" title="Live view: {name.replace("-", " ")}" '
        f'src="{up}views/{name}.html"></iframe>'
    )
    return f"{frame}\n\n{caption} [Alone]({up}views/{name}.html)".strip()


# -- the events of mkdocs


def on_config(config: Any) -> Any:
    """The menu, with the pages that are made."""
    strategies = [{name: f"strategies/{name}.md"} for name in STRATEGIES]
    detectors = [{name: f"detectors/{name}.md"} for name in DETECTORS]
    api = sorted(page for page in api_pages() if page != "api/index.md")
    config.nav += [
        {"Notebooks": [{title: f"notebooks/{name}.md"} for name, title in NOTEBOOKS.items()]},
        {"Strategies": ["strategies/index.md", *strategies]},
        {"Detectors": ["detectors/index.md", *detectors]},
        {"API": ["api/index.md", *({page[4:-3]: page} for page in api)]},
        {"How to add a strategy or a detector": "contributing.md"},
        {"Changes": "changelog.md"},
    ]
    return config


def on_files(files: Any, config: Any) -> Any:
    """The pages, and the views beside them."""
    pages: dict[str, str | bytes] = {**made_pages(), **notebook_pages()}
    views = {**tour_views(), **{name: html for name, (html, _) in _captioned().items()}}
    pages |= {f"views/{name}.html": html for name, html in views.items()}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def _captioned() -> dict[str, tuple[str, str]]:
    return {**strategy_views(), **detector_views()}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in the comments."""
    return shown(markdown, page.file.src_uri)
