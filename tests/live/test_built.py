"""The built page is what `make live` makes of web/, and small."""

from pathlib import Path

import pytest

from kedge.live.page import built_from, page_file, sources_hash

WEB = Path(__file__).parents[2] / "web"
AROUND = ("package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")


def sources():
    return [*(f for f in (WEB / "src").rglob("*") if f.is_file()), *(WEB / n for n in AROUND)]


@pytest.mark.skipif(not WEB.is_dir(), reason="the sources of the page are not at hand")
def test_the_built_page_is_fresh():
    assert built_from() == sources_hash(sources(), WEB), "web/ has changed: run `make live`"


@pytest.mark.skipif(not WEB.is_dir(), reason="the sources of the page are not at hand")
def test_the_hash_sees_contents_and_names(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("one")
    files = list(tmp_path.iterdir())
    before = sources_hash(files, tmp_path)
    (tmp_path / "b").write_text("two")
    assert sources_hash(files, tmp_path) != before
    (tmp_path / "b").write_text("one")
    assert sources_hash(files[::-1], tmp_path) == before


def test_the_page_weighs_less_than_400_kb_and_asks_nobody_else():
    script, style = page_file("live.js"), page_file("live.css")
    assert len((script + style).encode()) < 400_000
    for word in ("https://", "//cdn", "@import", "eval("):
        assert word not in script + style
    assert "http://" not in script.replace("http://www.w3.org/2000/svg", "")
