"""The site: every link of every page leads somewhere, the made pages say what the code says, the
notebooks are true, and `make docs` builds."""

import importlib
import posixpath
import re
import subprocess
import sys
from functools import cache

import pytest
import yaml
from conftest import REPOSITORY
from markdown.extensions.toc import slugify

sys.path.append(str(REPOSITORY / "docs" / "making"))
import hook
import measured
import notebooks
import views
import written

ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]*`", re.M | re.S)


@cache
def pages() -> dict[str, str]:
    """Markdown by its path: handwritten and made pages below docs/, and those of the root."""
    folder = REPOSITORY / "docs"
    found = {f"docs/{path.name}": path.read_text("utf-8") for path in folder.glob("*.md")}
    found |= {f"docs/{path}": text for path, text in hook.made_pages().items()}
    for name in notebooks.NOTEBOOKS:
        text = (notebooks.FOLDER / f"{name}.py").read_text("utf-8")
        words = [cell for kind, cell in notebooks.cells(text) if kind == "text"]
        found[f"docs/notebooks/{name}.md"] = "\n\n".join(words)
    return found | {name: (REPOSITORY / name).read_text("utf-8") for name in ROOT_PAGES}


def links(page: str) -> list[str]:
    """Targets of links and pictures on a page, code aside."""
    text = CODE.sub("", pages()[page])
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)


@cache
def anchors(page: str) -> set[str]:
    """Where a link may lead on a page: as the site and as a viewer of Markdown name headings."""
    text = re.sub(r"^( *)```.*?^\1```$", "", pages()[page], flags=re.M | re.S)
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    plain = [re.sub(r"[`*]|\[(.*?)\]\(.*?\)", r"\1", head) for head in heads]
    viewer = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in plain}
    return viewer & {slugify(head, "-") for head in plain}


def test_every_relative_link_leads_somewhere():
    broken, seen = [], 0
    for page in pages():
        for link in links(page):
            if re.match(r"[a-z]+:", link):
                continue
            seen += 1
            path, _, anchor = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
            target = target if path else page
            there = target in pages() or (REPOSITORY / target).exists()
            if not there or (anchor and anchor not in anchors(target)):
                broken.append(f"{page}: {link}")
    assert broken == []
    assert seen > 250


def test_every_view_and_every_name_in_the_reference_exists():
    known = {f"strategy-{name}" for name in hook.STRATEGIES}
    known |= {f"detector-{name}" for name in hook.DETECTORS}
    known |= {views.step_name(title) for title, *_ in hook.STEPS}
    shown, names = set(), set()
    for text in pages().values():
        shown |= set(re.findall(r"<!-- view: ([\w-]+) -->", text))
        names |= set(re.findall(r"\]\[(kedge[\w.]+)\]", text))
    assert shown <= known
    assert len(names) == len(hook.STRATEGIES) + len(hook.DETECTORS)
    for name in names:
        module, _, made = name.rpartition(".")
        assert hasattr(importlib.import_module(module), made), name
        assert f"\n::: {module}\n" in pages()[f"docs/api/{module.split('.')[1]}.md"]


def test_a_page_of_a_strategy_says_what_the_code_and_the_results_say():
    text = pages()["docs/strategies/max_iou.md"]
    assert "| `positive` | float | `0.5` | An anchor is positive for its best target" in text
    assert """| "own" or "rescuer" or "none" | `'own'` |""" in text
    rows = measured.results("assign_speed_max_iou")["rows"]
    usual = {"image": "800x1333", "batch": 1, "sizes": "scene", "objects": 1000}
    row = next(row for row in rows if usual.items() <= row.items())
    assert f"| 1,000 | {row['kedge ms']:.1f} | {row['other ms']:,.0f} |" in text
    mine = next(r for r in measured.results("strategies")["rows"] if r["strategy"] == "max_iou")
    assert f"| {mine['AP']:.1f} ± {mine['AP std']:.1f} |" in text
    assert "`test_mmdetection.py`: max iou" in text
    assert "[arXiv:1506.01497](https://arxiv.org/abs/1506.01497)" in text


def test_a_page_of_a_detector_says_what_the_code_and_the_results_say():
    text = pages()["docs/detectors/atss.md"]
    row = next(r for r in measured.results("detectors")["rows"] if r["recipe"] == "bccd_atss")
    assert f"| {row['AP']:.3f} | {row['AP50']:.3f} | {row['AP75']:.3f} |" in text
    assert "| assign | `ATSS(k=9, margin=0.01, side=None, alpha=None)` |" in text
    assert "kedge train --detector atss" in text
    assert "`test_mmdetection_corner.py`" in pages()["docs/detectors/cornernet.md"]
    norm = written.said_of(importlib.import_module("kedge.detectors").RetinaNet, "norm")
    assert norm == 'group norm in the subnets, needed to train from scratch; on with "tiny" only.'


def test_the_menu_has_every_page_once():
    class Config:
        nav = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]

    def leaves(entry):
        if isinstance(entry, str):
            return [entry]
        items = entry.values() if isinstance(entry, dict) else entry
        return [leaf for item in items for leaf in leaves(item)]

    listed = leaves(hook.on_config(Config()).nav)
    made = {page.removeprefix("docs/") for page in pages() if page.startswith("docs/")}
    assert sorted(listed) == sorted(made)


@pytest.mark.slow
@pytest.mark.parametrize("name", notebooks.NOTEBOOKS)
def test_a_notebook_runs_and_what_it_claims_is_so(name):
    files = notebooks.execute(name)
    page = files[f"notebooks/{name}.md"]
    assert page.startswith("# ")
    assert "```text\n" in page
    shown = re.findall(r'src="([^"]+)"', page)
    assert {f"notebooks/{name}.{kind}" for kind in ("md", "ipynb")} <= set(files)
    assert all("kedge-data" in files[f"notebooks/{file}"] for file in shown)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((tmp_path / "strategies").glob("*.html"))) == len(hook.STRATEGIES) + 1
    assert len(list((tmp_path / "views").glob("strategy-*.html"))) == len(hook.STRATEGIES)
    page = (tmp_path / "strategies" / "tal.html").read_text("utf-8")
    assert 'src="../views/strategy-tal.html"' in page
