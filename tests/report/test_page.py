"""The page as a file: complete, escaped, within its budget, written whole."""

import re

import numpy as np
import PIL.Image
import pytest

from kedge.report import Figure, Grid, Image, Section, Table, Text, figures, write_report


def test_a_report_is_one_small_file_that_names_no_other(tmp_path, sections):
    path = write_report(
        tmp_path / "new" / "report.html",
        "A <title>",
        sections,
        subtitle="sub",
        facts={"command": "`kedge`"},
    )
    page = path.read_text()
    assert path.stat().st_size < 3_000_000
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    sources = re.findall(r"""(?:src|href)=["']([^"']*)""", outside)
    assert sources
    assert all(s.startswith(("data:", "#")) for s in sources), [s[:60] for s in sources]
    assert "@import" not in outside
    assert "url(" not in outside
    assert "A &lt;title&gt;" in page
    assert page.index("<!doctype html>") == 0
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_text_is_escaped_and_lightly_marked(tmp_path, sections):
    page = write_report(tmp_path / "r.html", "t", sections).read_text()
    assert "<p>First <code>code</code> and <strong>bold</strong>.</p>" in page
    assert "Second &lt;script&gt;alert(1)&lt;/script&gt; &amp; more." in page
    assert "a &lt;/td&gt;" in page
    assert "<code>a &lt;= b</code>" in page
    data = re.findall(
        r'<script type="application/json" class="plot-data"[^>]*>(.*?)</script>', page, re.S
    )
    assert len(data) == 4
    assert not any("<" in figure for figure in data)
    assert any("u003c" in figure for figure in data)


def test_tables_align_numbers_mark_the_best_and_dash_what_is_missing(tmp_path, sections):
    page = write_report(tmp_path / "r.html", "t", sections).read_text()
    assert '<td class="n best">0.500</td>' in page
    assert '<td class="n">–</td>' in page
    assert '<td class="n">1,000</td>' in page
    spread = Table(
        columns=["run", "AP"], rows=[["a", "9.1 ± 3.0"], ["b", "10.2 ± 0.1"]], best=["AP"]
    )
    page = write_report(tmp_path / "r.html", "t", [Section(title="s", blocks=[spread])]).read_text()
    assert '<td class="n best">10.2 ± 0.1</td>' in page


def test_figures_and_tables_are_numbered_apart(tmp_path, sections):
    page = write_report(tmp_path / "r.html", "t", sections).read_text()
    assert re.findall(r"<b>(Figure \d+)</b>", page) == [f"Figure {i}" for i in range(1, 6)]
    assert re.findall(r"<b>(Table \d+)</b>", page) == ["Table 1"]


def test_pictures_carry_size_alt_text_and_load_late(tmp_path, sections):
    page = write_report(tmp_path / "r.html", "t", sections).read_text()
    images = re.findall(r"<img src=[^>]*>", page)
    assert len(images) == 3
    for i, image in enumerate(images):
        assert 'src="data:image/webp;base64,' in image
        assert 'loading="lazy"' in image
        assert f'alt="noise {i}"' in image
        assert 'width="960" height="720"' in image


def test_a_page_without_figures_is_small(tmp_path):
    path = write_report(tmp_path / "r.html", "t", [Section(title="s", blocks=[Text(text="x")])])
    assert path.stat().st_size < 60_000


def test_pictures_shrink_until_the_page_fits(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (500, 700, 3), dtype=np.uint8)
    blocks = [Image(image=PIL.Image.fromarray(noise)), Grid(blocks=[Image(image=noise)] * 2)]
    path = write_report(
        tmp_path / "r.html", "t", [Section(title="s", blocks=blocks)], budget=300_000
    )
    assert 100_000 < path.stat().st_size <= 300_000
    widths = set(re.findall(r'width="(\d+)"', path.read_text()))
    assert len(widths) == 1
    with pytest.raises(ValueError, match="no room for 3 pictures in 60,000 bytes"):
        write_report(tmp_path / "r.html", "t", [Section(title="s", blocks=blocks)], budget=60_000)


def test_a_failed_report_leaves_the_old_one(tmp_path, monkeypatch):
    path = write_report(tmp_path / "r.html", "old", [])
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_report(path, "new", [])
    assert "<h1>old</h1>" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_a_million_boxes_cost_no_more_than_a_few(tmp_path):
    wh = np.exp(np.random.default_rng(0).normal(4, 1, (1_000_000, 2)))
    plane = Figure(figure=figures.shape_plane(wh, {"a": wh[:9]}))
    path = write_report(tmp_path / "r.html", "t", [Section(title="s", blocks=[plane])])
    assert path.stat().st_size < 1_700_000
