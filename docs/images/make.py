"""Draws the pictures of the documents from the toy data.

    python docs/images/make.py              # design.png, doctor.png, report.png
    python docs/images/make.py strategies   # strategies.png; trains a detector for minutes first

Runs the three commands on ``toy`` and photographs their pages in headless Chromium (playwright).
"""

import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from kedge.cli import run

HERE = Path(__file__).parent
WIDTH = 900
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE = ["--image-size", "256", "320"]
COMMANDS = {
    "design": ["design", "toy", "--k", "9", "--image-size", "640", "--for", "yolov5", "--html"],
    "doctor": ["doctor", "--data", "toy", "--detector", "yolov2", *SIZE, "--html"],
    "report": ["report", "--data", "toy", "--detector", "retinanet", *SIZE, "--out"],
}
# what is photographed: from the top of one element to the bottom of another (None: of the page)
PARTS: dict[str, tuple[str | None, str]] = {
    "design": (None, ".code"),
    "doctor": (None, ".finding >> nth=1"),
    "report": ("h2:text-is('Coverage')", "figure.card >> nth=2"),
}


def photograph(page: Page, first: str | None, last: str) -> Image.Image:
    """The page from ``first`` to ``last``, with a margin."""
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
    decode = "all => Promise.all(all.map(i => i.decode()))"
    page.eval_on_selector_all(".zoom img", decode)
    page.add_style_tag(content=".top, nav { display: none !important }")
    whole = Image.open(BytesIO(page.screenshot(full_page=True)))
    top = 0 if first is None else int(_box(page, first)["y"])
    end = _box(page, last)
    return whole.crop((0, top, whole.width, int(end["y"] + end["height"]) + 10))


def _box(page: Page, selector: str) -> dict[str, Any]:
    box = page.locator(selector).first.bounding_box()
    assert box is not None, selector
    return dict(box)


def strategies() -> None:
    """What eight strategies select in one drawn image, with the predictions of a trained head."""
    squares = ",".join(f"{4 * stride}x{4 * stride}" for stride in (8, 16, 32, 64, 128))
    with tempfile.TemporaryDirectory() as folder:
        out, sheet = Path(folder) / "run", Path(folder) / "sheet.png"
        words = ["train", "--data", "toy", "--detector", "retinanet", "--anchors", squares, *SIZE]
        words += ["--assign", "atss", "--epochs", "12", "--lr", "2e-3", "--precision", "bf16"]
        chosen = "max_iou,atss,fcos,yolov5,paa,simota,tal,dw"
        draw = ["assign", "--data", "toy", "--split", "val", "--run", str(out)]
        draw += ["--strategy", chosen, "--image", "val_00007.png", "--draw", str(sheet)]
        if run([*words, "--out", str(out)]) or run(draw):
            sys.exit("the sheet was not drawn")
        with Image.open(sheet) as drawn:
            save(drawn, "strategies")


def save(picture: Image.Image, name: str) -> None:
    """Into this folder, with few colours."""
    path = HERE / f"{name}.png"
    picture.convert("RGB").quantize(256).save(path, optimize=True)
    print(path.name, picture.size, path.stat().st_size)


def main() -> None:
    if sys.argv[1:] == ["strategies"]:
        strategies()
        return
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
        for name, words in COMMANDS.items():
            file = Path(folder) / f"{name}.html"
            if run([*words, str(file)]) != 0:
                sys.exit(f"kedge {' '.join(words)} failed")
            page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
            page.goto(file.as_uri())
            page.wait_for_selector("html[data-drawn=yes]", state="attached")
            save(photograph(page, *PARTS[name]), name)
        browser.close()


if __name__ == "__main__":
    main()
