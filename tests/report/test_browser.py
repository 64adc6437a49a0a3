"""Reports in a real browser: figures drawn, no error, no request, light, dark and on a phone."""

import json
import shutil
import time

import pytest

from kedge.report import write_report

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, tmp_path, sections):
    """Open the report; returns the page and a list of what should not happen."""
    path = write_report(tmp_path / "report.html", "A report", sections)
    contexts = []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page, trouble = context.new_page(), []
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda r: r.url.startswith(("http", "ws")) and trouble.append(r.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn=yes]", state="attached")
        return page, trouble

    yield open_page
    for context in contexts:
        context.close()


def colour(page, selector, attribute="color"):
    style = f"getComputedStyle(document.querySelector({json.dumps(selector)}))"
    return page.evaluate(f"{style}.{attribute}")


def eventually(true, seconds=10.0):
    """Ask again until it holds (the page's own policy forbids playwright's wait_for_function)."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_every_figure_is_drawn_and_nothing_else_happens(visit):
    page, trouble = visit(viewport={"width": 1300, "height": 900})
    assert page.locator(".plot .main-svg").count() >= 4
    assert page.locator(".plot .scatterlayer .points path.point").count() > 20
    assert page.locator(".plot .hm image, .plot .heatmaplayer image").count() >= 1
    decode = "all => Promise.all(all.map(i => i.decode().then(() => i.naturalWidth)))"
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
    widths = page.eval_on_selector_all(".zoom img", decode)
    assert widths == [960] * 3
    assert trouble == []


def test_the_dark_page_swaps_every_colour_and_the_button_turns_it_back(visit):
    page, trouble = visit(color_scheme="dark", viewport={"width": 1300, "height": 900})
    dark = colour(page, "body", "backgroundColor")
    assert sum(map(int, dark[4:-1].split(","))) < 120
    ticks = ".plot .xtick text"
    assert colour(page, ticks, "fill") == "rgb(231, 234, 237)"
    page.click("#theme")  # auto -> light
    eventually(lambda: colour(page, ticks, "fill") == "rgb(27, 33, 39)")
    assert sum(map(int, colour(page, "body", "backgroundColor")[4:-1].split(","))) > 600
    assert trouble == []


def test_a_phone_scrolls_down_only_and_figures_make_room_for_their_legend(visit):
    phone = {"viewport": {"width": 390, "height": 800}, "device_scale_factor": 2}
    page, trouble = visit(**phone, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for box in page.locator(".plot").all():
        assert box.bounding_box()["width"] <= 390
    # four long names: the legend takes several rows, the axes keep their height
    heights = page.eval_on_selector_all(".plot", "all => all.map(d => d._fullLayout._size.h)")
    assert min(heights) > 150
    assert trouble == []


def test_a_turned_screen_redraws(visit):
    page, _ = visit(viewport={"width": 390, "height": 800})
    width = "document.querySelector('.plot')._fullLayout.width"
    before = page.evaluate(width)
    page.set_viewport_size({"width": 900, "height": 390})
    eventually(lambda: page.evaluate(width) > before + 300)


def test_pictures_enlarge_and_close(visit):
    page, trouble = visit(viewport={"width": 1000, "height": 800})
    page.locator(".zoom").first.click()
    assert page.locator("dialog[open] img").get_attribute("alt") == "noise 0"
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert trouble == []


def test_without_javascript_numbers_tables_and_pictures_remain(browser, tmp_path, sections):
    path = write_report(tmp_path / "report.html", "A report", sections)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert "need JavaScript" in page.inner_text("main")
    assert page.locator("table tbody tr").count() == 3
    assert page.locator(".zoom img").count() == 3
    context.close()
