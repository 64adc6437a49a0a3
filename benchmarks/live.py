"""How fast the page of `kedge live` follows a drag, what it weighs, and what its server holds.

    python benchmarks/live.py --write

In a real browser (Chromium through playwright): a slider of MaxIoU is moved once, and the time
until its answer is drawn is taken in the page; beside it the time of the answer alone, in this
process. RetinaNet's anchors on a 640 x 640 input, MaxIoU and ATSS side by side.
"""

import argparse
import json
import resource
import shutil
import statistics
import threading
import time
from dataclasses import replace

import numpy as np
import torch
from _record import record as write_record
from playwright.sync_api import CDPSession, sync_playwright

from kedge.data import Record
from kedge.live.api import Api
from kedge.live.opening import open_source
from kedge.live.page import page_file
from kedge.live.server import address, listen, make_app, uvicorn

OBJECTS = (10, 100, 1000, 5000)
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
MOVE = """async (value) => {
  const root = document.querySelector('.kedge-live');
  const slider = document.querySelector('[data-setting=positive] input[type=range]');
  const panels = document.querySelector('.panels');
  const answered = Number(root.dataset.answered), drawn = Number(panels.dataset.drawn);
  const begin = performance.now();
  slider.value = String(value);
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  while (Number(root.dataset.answered) === answered || Number(panels.dataset.drawn) === drawn)
    await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - begin;
}"""


def record(objects: int, seed: int = 0, side: int = 640) -> Record:
    """An image of noise with so many objects of 8 to 160 pixels, log-uniform."""
    random = np.random.default_rng(seed)
    sizes = np.exp(random.uniform(np.log(8), np.log(160), (objects, 2)))
    corner = random.uniform(0, 1, (objects, 2)) * (side - sizes)
    pixels = random.integers(0, 255, (side, side, 3), dtype=np.uint8)
    return Record(
        file=None,
        width=side,
        height=side,
        boxes=np.concatenate([corner, corner + sizes], axis=1).astype(np.float32),
        labels=np.zeros(objects, np.int64),
        crowd=np.zeros(objects, bool),
        image_id=objects,
        name=f"{objects}",
        draw=lambda: pixels,
    )


def resident() -> float:
    """MB that this process holds at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def values(times: int) -> list[float]:
    """Thresholds to move through, each once."""
    return [0.41 + 0.01 * i for i in range(times)]


def of_api(api: Api, image: int, times: int) -> dict[str, float]:
    """Milliseconds of an answer, and its size."""
    state = api.source.start.model_dump(mode="json") | {"image": str(image)}
    have = [panel["key"] for panel in api.ask("answer", {"state": state})["panels"]]
    spent, worked, size = [], [], 0
    for positive in values(times):
        state["strategies"][0]["settings"] = {"positive": positive + 0.001}  # none is kept
        begin, work = time.perf_counter(), time.process_time()
        found = api.ask("answer", {"state": state, "have": have})
        spent.append(1000 * (time.perf_counter() - begin))
        worked.append(1000 * (time.process_time() - work))
        size = len(json.dumps(found))
    medians = {"answer_ms": statistics.median(spent), "answer_cpu_ms": statistics.median(worked)}
    return medians | {"answer_kb": size / 1000}


def process_ms(session: CDPSession) -> float:
    """Processor time that the page's process has used so far, of all its threads."""
    found = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(one["value"] for one in found if one["name"] == "ProcessTime")


def of_page(url: str, images: int, times: int) -> list[tuple[list[float], float]]:
    """For every image: milliseconds from each move of the slider to the picture, and the processor
    time of the page's process for one move."""
    path = next(filter(None, map(shutil.which, NAMES)))
    rows = []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(url)
        page.wait_for_selector("[data-answered]", state="attached")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        for image in range(images):
            page.fill("[aria-label='Number of the image']", str(image + 1))
            page.keyboard.press("Enter")
            while not page.inner_text(".bar .name").startswith(f"{OBJECTS[image]},"):
                page.wait_for_timeout(100)  # the page's own policy forbids wait_for_function
            page.wait_for_timeout(2000)
            for value in values(2):
                page.evaluate(MOVE, value)
            before = process_ms(session)
            moved = [page.evaluate(MOVE, value) for value in values(times)[2:]]
            rows.append((moved, (process_ms(session) - before) / len(moved)))
        browser.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=22, help="moves of the slider, two to warm up")
    parser.add_argument("--write", action="store_true", help="keep it in results/live.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    bare = resident()
    source, _ = open_source("toy")
    source = replace(source, records=[record(objects) for objects in OBJECTS])
    sock = listen(0)
    server = uvicorn.Server(
        uvicorn.Config(make_app(source, "t"), log_level="error", lifespan="off")
    )
    threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True).start()
    pages = of_page(address(sock, "t"), len(OBJECTS), asked.times)
    served = resident()
    server.should_exit = True
    api = Api(source)
    rows = []
    for i, (objects, (times, page_cpu)) in enumerate(zip(OBJECTS, pages, strict=True)):
        row = {"objects": objects, "drag_ms": statistics.median(times), "worst_ms": max(times)}
        row["page_cpu_ms"] = page_cpu
        rows.append(row | of_api(api, i, asked.times))
        print({key: round(value, 1) for key, value in rows[-1].items()})
    weight = {name: len(page_file(name).encode()) / 1000 for name in ("live.js", "live.css")}
    facts = {
        "anchors": len(source.start.grid(source.start.size)),
        "page_kb": weight | {"all": sum(weight.values())},
        "server_mb": {"after imports": bare, "most while serving": served},
    }
    print(facts)
    if asked.write:
        write_record("live", f"python benchmarks/live.py --times {asked.times}", rows, 0, **facts)


if __name__ == "__main__":
    main()
