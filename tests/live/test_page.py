"""The page in a real browser: every function once, and nothing on the console."""

import contextlib
import json
import shutil
import threading
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from kedge import Grid, Level, MaxIoU
from kedge.assign.by_name import strategy
from kedge.files import append_line
from kedge.live.opening import open_source
from kedge.live.page import page_file
from kedge.live.server import address, listen, make_app, uvicorn
from kedge.live.state import State
from kedge.train.config import make_config, save_config
from kedge.train.result import METRICS, SHAPES

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
TOKEN = "a-token-of-the-test"


@contextlib.contextmanager
def served(source):
    """The address of a server of `source`, in a thread."""
    sock = listen(0)
    app = uvicorn.Config(make_app(source, TOKEN), log_level="error", lifespan="off")
    server = uvicorn.Server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    yield address(sock, TOKEN)
    server.should_exit = True
    thread.join(20)
    sock.close()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(source):
    with served(source) as place:
        yield place


@pytest.fixture
def visit(browser):
    """Open an address; whatever is said on the console fails the test."""
    contexts, trouble = [], []

    def open_page(place, wait=True, **options):
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(place)
        if wait:
            page.wait_for_selector("[data-answered]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def eventually(true, seconds=20.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def state_of(page):
    """What the address says, once it has been written."""
    eventually(lambda: page.evaluate("location.hash") != "")
    page.wait_for_timeout(400)
    return json.loads(
        page.evaluate("decodeURIComponent(location.hash.slice(1))"),
    )["state"]


def facts(page, panel=0):
    return page.inner_text(f"[data-panel='{panel}'] .facts")


def tab(page, name):
    page.click(f"[role=tab]:has-text('{name}')")


def look_at_the_third(page):
    """An image, and a rule that leaves some of its objects without an anchor."""
    page.fill("[aria-label='Number of the image']", "3")
    page.keyboard.press("Enter")
    page.select_option("[data-setting=low_quality] select", "none")
    page.fill("[aria-label='positive, exactly']", "0.7")
    eventually(lambda: "3 of 6 objects without" in facts(page))


def pixels(page, panel=0):
    """The picture of a panel, as numbers that change when it does."""
    return page.evaluate(
        "(i) => document.querySelectorAll('canvas.picture')[i].toDataURL().length * 1e9 + "
        "[...document.querySelectorAll('canvas.picture')[i].toDataURL()]"
        ".reduce((h, c) => (h * 31 + c.charCodeAt(0)) % 1e9, 7)",
        panel,
    )


# -- look


def test_it_opens_with_two_strategies_on_the_first_image(visit, url):
    page = visit(url)
    assert page.locator("canvas.picture").count() == 2
    assert "positives of 15,354 anchors" in facts(page)
    assert page.locator("canvas.picture").first.get_attribute("aria-label").startswith("max_iou")
    assert page.inner_text(".bar .name").startswith("train_00000.png")
    colours = page.evaluate(
        "() => { const c = document.querySelector('canvas.picture'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; const s = new Set();"
        " for (let i = 0; i < d.length; i += 4) s.add(`${d[i]},${d[i+1]},${d[i+2]}`);"
        " return s.size }"
    )
    assert colours > 500  # a picture, not a plain


def test_another_strategy_a_third_and_a_fourth(visit, url):
    page = visit(url)
    before = facts(page)
    page.select_option("[aria-label='Strategy of panel 1']", "yolov5")
    eventually(lambda: facts(page) != before)
    assert page.locator("[data-panel='0'] [data-setting=max_ratio]").count() == 1
    page.click("text=+ strategy")
    page.click("text=+ strategy")
    eventually(lambda: page.locator("canvas.picture").count() == 4)
    assert page.locator("text=+ strategy").count() == 0
    page.click("[aria-label='Remove panel 4']")
    page.click("[aria-label='Remove panel 1']")
    eventually(lambda: page.locator("canvas.picture").count() == 2)
    assert len(state_of(page)["strategies"]) == 2


def test_why_an_object_has_no_anchor(visit, url):
    page = visit(url)
    look_at_the_third(page)
    items = page.locator(".list button")
    eventually(lambda: items.count() == 3)  # the list follows when answers rest
    items.first.click()
    words = "No anchor reaches the IoU of 0.70 that MaxIoU asks for."
    eventually(lambda: words in page.inner_text(".said[data-panel='0']"))
    assert "Best IoU 0." in page.inner_text(".said[data-panel='0']")
    assert "anchors, IoU" in page.inner_text(".said[data-panel='1']")
    page.locator("canvas.picture").first.click(position={"x": 5, "y": 200})  # nothing there
    eventually(lambda: page.locator(".said").count() == 0)


@pytest.mark.slow
def test_the_next_image_with_an_object_without(visit, url):
    page = visit(url)
    look_at_the_third(page)
    page.click("button.find")
    eventually(lambda: not page.inner_text(".bar .name").startswith("train_00002"))
    eventually(lambda: "without" in facts(page) and "no object" not in facts(page))


@pytest.mark.slow
def test_zoom_is_linked_and_keys_work(visit, url):
    page = visit(url)
    before = [pixels(page, 0), pixels(page, 1)]
    page.locator("canvas.picture").first.hover()
    page.mouse.wheel(0, -300)
    eventually(lambda: pixels(page, 0) != before[0] and pixels(page, 1) != before[1])
    zoomed = pixels(page, 1)
    page.locator("canvas.picture").first.focus()
    page.keyboard.press("ArrowRight")
    eventually(lambda: pixels(page, 1) != zoomed)
    page.keyboard.press("0")
    eventually(lambda: pixels(page, 0) == before[0])
    page.keyboard.press("]")
    eventually(lambda: page.inner_text(".bar .name").startswith("train_00001"))
    page.keyboard.press("[")
    page.keyboard.press("n")
    eventually(lambda: page.locator(".detail h3").count() == 1)
    page.keyboard.press("Escape")
    eventually(lambda: page.locator(".detail").count() == 0)


@pytest.mark.slow
def test_what_is_drawn_can_be_chosen(visit, url):
    page = visit(url)
    look_at_the_third(page)
    seen = {pixels(page)}
    for choose in (
        lambda: page.select_option("[aria-label='Anchors as']", "boxes"),
        lambda: page.select_option("[aria-label='Heat of positives']", "-1"),
        lambda: page.check("text=ignored"),
        lambda: page.check("text=negative"),
        lambda: page.check("text=sampled"),
    ):
        choose()
        eventually(lambda: pixels(page) not in seen)
        seen.add(pixels(page))
    assert page.locator("[aria-label='Sampler']").count() == 1
    assert state_of(page)["sampler"] == "random"


# -- touch


def test_a_dragged_slider_changes_the_answer_and_undo_takes_it_back(visit, url):
    page = visit(url)
    before, seen = facts(page), page.locator(".kedge-live").get_attribute("data-answered")
    slider = page.locator("[data-setting=positive] input[type=range]")
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(8):
        page.mouse.move(box["x"] + box["width"] * (0.5 + 0.04 * step), box["y"] + 8)
    page.mouse.up()

    def dragged() -> float:
        return state_of(page)["strategies"][0]["settings"].get("positive", 0.0)

    eventually(lambda: dragged() > 0.7 and facts(page) != before)  # not that of a step on the way
    assert int(page.locator(".kedge-live").get_attribute("data-answered")) > int(seen)
    value = dragged()
    page.click("text=Undo")
    eventually(lambda: facts(page) == before)
    assert page.input_value("[aria-label='positive, exactly']") == "0.5"
    page.click("text=Redo")
    eventually(lambda: facts(page) != before)
    assert float(page.input_value("[aria-label='positive, exactly']")) == value


def test_settings_do_not_forget_each_other_and_a_wrong_one_is_said(visit, url):
    page = visit(url)
    look_at_the_third(page)
    assert state_of(page)["strategies"][0]["settings"] == {"positive": 0.7, "low_quality": "none"}
    page.fill("[aria-label='positive, exactly']", "0.2")
    eventually(lambda: "needs 0 <= negative <= positive" in facts(page))
    page.fill("[aria-label='positive, exactly']", "0.7")
    eventually(lambda: "3 of 6 objects without" in facts(page))


@pytest.mark.slow
def test_strides_offsets_sizes_and_shapes(visit, url):
    page = visit(url)
    tab(page, "Anchors")
    page.fill("[aria-label='stride of level 1']", "4")
    page.keyboard.press("Enter")
    page.fill("[aria-label='offset of level 1']", "0.5")
    page.keyboard.press("Enter")
    page.fill("[aria-label='width']", "640")
    page.keyboard.press("Enter")
    page.select_option("[aria-label='Resizing']", "stretch")
    page.click("text=+ level")
    state = state_of(page)
    assert state["levels"][0]["stride"] == [4, 4]
    assert state["levels"][0]["offset"] == 0.5
    assert (state["size"], state["resize"]) == ([256, 640], "stretch")
    assert len(state["levels"]) == 6
    page.select_option("[aria-label='Published anchors']", "yolov3")
    eventually(lambda: page.locator(".levels tbody tr").count() == 3)


def test_a_dragged_corner_changes_a_shape(visit, url):
    page = visit(url)
    tab(page, "Anchors")
    before = facts(page)
    shapes = state_of_start(page)
    canvas = page.locator("canvas.shapes").bounding_box()
    most = 1.25 * max(max(shape) for shape in shapes)
    scale = canvas["width"] / most
    middle = canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2
    w, h = shapes[0]
    page.mouse.move(middle[0] + w / 2 * scale, middle[1] + h / 2 * scale)
    page.mouse.down()
    page.mouse.move(middle[0] + 10 * scale, middle[1] + 8 * scale, steps=4)
    page.mouse.up()
    eventually(lambda: facts(page) != before)
    assert state_of(page)["levels"][0]["shapes"][0] == pytest.approx([20, 16], abs=1.5)
    page.locator("canvas.shapes").focus()
    page.keyboard.press("ArrowRight")
    assert state_of(page)["levels"][0]["shapes"][0][0] == pytest.approx(21, abs=1.5)


def state_of_start(page):
    text = page.input_value("[aria-label='Shapes of the level, w x h']")
    return [tuple(map(float, pair.split("x"))) for pair in text.split(", ")]


def test_objects_are_moved_drawn_and_removed(visit, url):
    page = visit(url)
    look_at_the_third(page)
    page.click("text=Draw objects")
    canvas = page.locator("canvas.picture").first.bounding_box()
    page.mouse.move(canvas["x"] + 20, canvas["y"] + 150)
    page.mouse.down()
    page.mouse.move(canvas["x"] + 90, canvas["y"] + 210, steps=4)
    page.mouse.up()
    eventually(lambda: "of 7 objects" in facts(page))
    rate = canvas["width"] / 320
    drawn = state_of(page)["boxes"][6]
    assert drawn == pytest.approx([20 / rate, 150 / rate, 90 / rate, 210 / rate], abs=1)
    page.click("text=Move objects")
    page.mouse.move(canvas["x"] + 50, canvas["y"] + 180)
    page.mouse.down()
    page.mouse.move(canvas["x"] + 70, canvas["y"] + 200, steps=4)
    page.mouse.up()
    moved = state_of(page)["boxes"][6]
    assert moved == pytest.approx([v + 20 / rate for v in drawn], abs=1)
    page.keyboard.press("Delete")
    eventually(lambda: "of 6 objects" in facts(page))
    assert len(state_of(page)["boxes"]) == 6


def test_the_address_holds_the_state(visit, url):
    page = visit(url)
    look_at_the_third(page)
    state_of(page)
    again = visit(page.url)
    eventually(lambda: "3 of 6 objects without" in facts(again))
    assert again.input_value("[aria-label='positive, exactly']") == "0.7"


@pytest.mark.slow
def test_an_own_image_takes_the_place(visit, url, tmp_path):
    page = visit(url)
    Image.new("RGB", (200, 120), "#335577").save(tmp_path / "own.png")
    page.set_input_files("[aria-label='Own image']", tmp_path / "own.png")
    eventually(lambda: "200 × 120 px" in page.inner_text(".bar .name"))
    canvas = page.locator("canvas.picture").first.bounding_box()
    page.mouse.move(canvas["x"] + 100, canvas["y"] + 100)
    page.mouse.down()
    page.mouse.move(canvas["x"] + 180, canvas["y"] + 180, steps=3)
    page.mouse.up()
    eventually(lambda: "no object without" in facts(page))


@pytest.mark.slow
def test_an_own_image_that_is_none(browser, url, tmp_path):
    """Without `visit`: the browser itself writes a refused request on the console."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("[data-answered]", state="attached")
    before = page.inner_text(".bar .name")
    (tmp_path / "none.png").write_text("no image")
    page.set_input_files("[aria-label='Own image']", tmp_path / "none.png")
    eventually(lambda: "no image that can be read" in page.inner_text(".status"))
    assert page.inner_text(".bar .name") == before
    context.close()


def test_copied_python_runs_and_chooses_the_same(visit, url, source, capsys):
    page = visit(url)
    look_at_the_third(page)
    state = State.model_validate(state_of(page))
    page.click("text=Copy as code")
    page.wait_for_selector("[data-code=python]")
    names: dict = {}
    exec(page.inner_text("[data-code=python]"), names)
    capsys.readouterr()
    targets, grid = source.targets(state), state.grid(state.size)
    for given, item in zip(names["assignments"], state.strategies, strict=True):
        expected = strategy(item.spec())(grid, targets)
        assert torch.equal(given.anchor, expected.anchor)
        assert torch.equal(given.target, expected.target)
    assert "low_quality: none" in page.inner_text("[data-code=yaml]")
    assert "positive=0.7" in page.inner_text("[data-code=command]")
    page.keyboard.press("Escape")
    eventually(lambda: page.locator("dialog").count() == 0)


# -- sweep, design, tour


def test_a_sweep_runs_and_is_cancelled(visit, url):
    page = visit(url)
    tab(page, "Sweep")
    page.fill("[aria-label='images, at most']", "10")
    page.keyboard.press("Tab")
    page.click("button.go")
    page.wait_for_selector("[data-state=done]")
    assert "10 of 400 images" in page.inner_text(".sweep .state")
    assert page.locator(".sweep svg.chart path").count() == 4
    page.fill("[aria-label='images, at most']", "400")
    page.fill("[aria-label='values']", "41")
    page.keyboard.press("Tab")
    page.click("button.go")
    page.wait_for_selector("[data-state=running]")
    page.click("button.stop")
    page.wait_for_selector("[data-state=cancelled]")


@pytest.mark.slow
def test_a_design_is_drawn_and_used(visit, url):
    page = visit(url)
    tab(page, "Design")
    page.fill("[aria-label='shapes']", "4")
    page.keyboard.press("Tab")
    page.click("button.go")
    page.wait_for_selector(".design [data-state=done]")
    assert "in use" in page.inner_text(".design .state")
    assert "Level(stride=" in page.inner_text("[data-code=snippet]")
    page.click("button.use")
    state = state_of(page)
    assert sum(len(level["shapes"]) for level in state["levels"]) == 4


@pytest.mark.slow
def test_the_tour_from_its_start_to_its_end(visit, url):
    page = visit(url)
    tab(page, "Tour")
    page.click("text=Start the tour")
    titles = []
    for number in range(1, 11):
        page.wait_for_selector(f"text=Step {number} of 10")
        titles.append(page.inner_text(".tour h3"))
        page.click("button.go")
    assert len(set(titles)) == 10
    eventually(lambda: "15,354" in facts(page))  # back at the start


# -- watch


@pytest.fixture
def run(tmp_path):
    """The folder of a run that has just begun: settings, and the first lines of its files."""
    folder = tmp_path / "growing"
    folder.mkdir()
    settings = {"data": "toy", "image_size": (64, 96), "detector": "yolov2", "epochs": 5}
    settings |= {"anchors": "20x20,40x20", "learn_anchors": True, "out": folder}
    save_config(make_config(settings), folder / "config.yaml")
    step(folder, 0, 20)
    return folder


def step(folder: Path, epoch: int, side: float):
    row = {"step": epoch, "epoch": epoch, "loss": 3.0 - epoch, "loss_box": 1.0}
    append_line(folder / METRICS, row | {"objects": 10, "answered": 9})
    shapes = [[side, 20.0], [40.0, side]]
    fit = {"mean_best_iou": 0.5, "stage": "training"}
    append_line(folder / SHAPES, {"step": epoch, "epoch": epoch, "shapes": shapes} | fit)


def test_a_run_is_watched_as_it_grows(visit, run):
    source, _ = open_source(run=run)
    # the page goes before its server: a page that asks on says that nobody answers
    with served(source) as url, contextlib.closing(visit(url)) as page:
        tab(page, "Watch")
        eventually(lambda: page.locator(".watch [data-epochs='0']").count() == 1)
        assert "growing (yolov2)" in page.inner_text(".watch .state")
        with (run / METRICS).open("a") as file:
            file.write('{"step": 1, "epo')  # a line that is still being written
        for epoch in (1, 2):
            whole = (run / METRICS).read_text().rpartition("\n")[0]
            (run / METRICS).write_text(whole + "\n")
            step(run, epoch, 20 + 8 * epoch)
        eventually(lambda: page.locator(".watch [data-epochs='2']").count() == 1)
        eventually(lambda: page.locator(".watch svg.chart path").count() == 6)
        slider = page.locator("[aria-label='Point of the run']")
        slider.focus()
        page.keyboard.press("ArrowLeft")
        eventually(lambda: page.inner_text(".watch .at").startswith("epoch 1,"))
        assert state_of(page)["levels"][0]["shapes"] == [[28, 20], [40, 28]]
        page.click("text=Play")
        eventually(lambda: page.inner_text(".watch .at").startswith("epoch 2,"))
        eventually(lambda: state_of(page)["levels"][0]["shapes"] == [[36, 20], [40, 36]])


# -- take along


def test_the_saved_page_opens_without_a_server(visit, url, tmp_path):
    page = visit(url)
    look_at_the_third(page)
    expected = facts(page)
    with page.expect_download() as download:
        page.click("text=Save as HTML")
    file = tmp_path / "saved.html"
    download.value.save_as(file)
    requests = []
    saved = visit(file.as_uri(), wait=False)
    saved.on("request", lambda r: r.url.startswith("http") and requests.append(r.url))
    saved.reload()
    saved.wait_for_selector("[data-answered]", state="attached")
    eventually(lambda: facts(saved) == expected)
    assert "Asked" not in saved.inner_text(".kedge-live")
    before = pixels(saved)
    saved.locator(".list button").first.click()
    assert "No anchor reaches" in saved.inner_text(".said[data-panel='0']")
    eventually(lambda: pixels(saved) != before)
    assert saved.locator("[role=tab]").count() == 1
    assert saved.locator("[data-setting=positive] input[type=range]").is_disabled()
    assert requests == []


HARNESS = """async (source) => {
  const { default: widget } = await import(
    URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const heard = new Set(), values = JSON.parse(await window.kernel_state());
  const model = {
    get: (name) => values[name],
    set: (name, value) => { values[name] = value; },
    save_changes: () => window.kernel_saved(JSON.stringify(values.state)),
    send: async (message) => {
      const reply = JSON.parse(await window.kernel(JSON.stringify(message)));
      for (const one of heard) one(reply);
    },
    on: (event, handler) => heard.add(handler),
    off: (event, handler) => heard.delete(handler),
  };
  const el = document.createElement("div");
  document.body.append(el);
  window.leave = await widget.render({ model, el });
}"""


def test_the_widget_answers_from_the_kernel(browser):
    """The front end of a notebook's cell, with the messages of a real `View` behind it."""
    pytest.importorskip("anywidget")
    from kedge.live import View

    target = {"boxes": torch.tensor([[10.0, 10, 50, 40], [60, 5, 62, 7]])}
    grid = Grid(image_size=(64, 96), levels=[Level(stride=16, shapes=[(32, 32)])])
    rules = [MaxIoU(low_quality="none"), "atss"]
    view = View(torch.rand(3, 64, 96), target, grid, rules, classes=["car"])
    saved = []

    def kernel(message):
        sent = []
        view.send = sent.append
        view._answer(view, json.loads(message), [])
        return json.dumps(sent[0])

    context = browser.new_context(viewport={"width": 900, "height": 700})
    page = context.new_page()
    trouble = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.expose_function("kernel", kernel)
    page.expose_function("kernel_state", lambda: json.dumps({"state": view.state}))
    page.expose_function("kernel_saved", lambda state: saved.append(json.loads(state)))
    page.set_content(f"<style>{page_file('live.css')}</style>")
    page.evaluate(HARNESS, page_file("live.js"))
    page.wait_for_selector("[data-answered]", state="attached")
    assert "of 24 anchors · 1 of 2 objects without" in facts(page)
    assert "2 car, 2 × 2 px" in page.inner_text(".list")
    page.fill("[aria-label='positive, exactly']", "0.9")
    eventually(lambda: "2 of 2 objects without" in facts(page))
    eventually(lambda: saved)
    assert saved[-1]["strategies"][0]["settings"]["positive"] == 0.9
    assert "#" not in page.url  # the address is the notebook's
    assert trouble == []
    context.close()


# -- who may


def test_without_the_token_the_page_says_what_to_do(browser, url):
    context = browser.new_context()
    page = context.new_page()
    page.goto(url.partition("?")[0] + "?token=wrong")
    page.wait_for_selector("[role=alert]")
    assert "token is missing or wrong" in page.inner_text("[role=alert]")
    context.close()


@pytest.mark.slow
def test_a_server_that_is_gone_is_said(browser, source):
    context = browser.new_context()
    page = context.new_page()
    with served(source) as place:
        page.goto(place)
        page.wait_for_selector("[data-answered]", state="attached")
    page.fill("[aria-label='positive, exactly']", "0.6")
    eventually(lambda: "does not answer" in page.inner_text(".status"))
    context.close()


# -- every screen


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        (2560, "light"),
        *(
            pytest.param(width, scheme, marks=pytest.mark.slow)
            for width, scheme in ((390, "light"), (800, "light"), (1300, "dark"), (2560, "dark"))
        ),
    ],
)
def test_no_screen_scrolls_sideways(visit, url, width, scheme):
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    page = visit(url, **options, has_touch=width == 390)
    for name in ("Anchors", "Sweep", "Design", "Tour", "Objects"):
        tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.querySelector('.kedge-live')).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 150) == (scheme == "dark")
    assert page.locator("canvas.picture").first.bounding_box()["width"] > 250


@pytest.mark.slow
def test_every_control_has_a_name(visit, url):
    page = visit(url)
    for name in ("Anchors", "Sweep", "Design", "Tour", "Objects"):
        tab(page, name)
        nameless = page.evaluate(
            "() => [...document.querySelectorAll('input, select, button, canvas, svg[role=img]')]"
            ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() ||"
            " (e.labels && e.labels.length && e.labels[0].textContent.trim())))"
            ".map(e => e.outerHTML)"
        )
        assert nameless == []
