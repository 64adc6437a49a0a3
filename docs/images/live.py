"""Photographs the live page of the toy data: live.png.

python docs/images/live.py
"""

import shutil
import threading
from io import BytesIO

from make import FLAGS, save
from PIL import Image
from playwright.sync_api import sync_playwright

from kedge.live.opening import open_source
from kedge.live.server import address, listen, make_app, uvicorn

IMAGE = "51"


def main() -> None:
    source, _ = open_source("toy", image_size=(256, 320))
    sock = listen(0)
    config = uvicorn.Config(make_app(source, "t"), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True).start()
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1240, "height": 800}, color_scheme="light")
        page.goto(address(sock, "t"))
        page.wait_for_selector("[data-answered]", state="attached")
        page.fill("[aria-label='Number of the image']", IMAGE)
        page.keyboard.press("Enter")
        page.select_option("[data-setting=low_quality] select", "none")
        page.fill("[aria-label='positive, exactly']", "0.6")
        page.wait_for_selector(".facts:has-text('4 of 8 objects without')")
        page.click(".list button >> nth=0")
        page.wait_for_selector(".said:has-text('No anchor reaches')")
        page.wait_for_timeout(500)
        shown = page.locator(".panels").bounding_box()
        assert shown is not None
        whole = Image.open(BytesIO(page.screenshot()))
        save(whole.crop((0, 0, whole.width, int(shown["y"] + shown["height"]) + 10)), "live")
        browser.close()
    server.should_exit = True


if __name__ == "__main__":
    main()
