"""An answer is the strategy's own assignment, and its reasons are so."""

import re

import numpy as np
import pytest
import torch

from kedge import ATSS, Grid, Level, MaxIoU, Targets
from kedge.assign import FCOS, YOLOv5
from kedge.assign.by_name import STRATEGIES, strategy
from kedge.live.answers import SHOWN
from kedge.live.packed import packed, unpacked
from kedge.live.reasons import reasons
from kedge.live.source import Recent, Source, strategy_state
from kedge.live.state import State


def question(state, *layers):
    return {"state": state, "layers": list(layers), "reasons": True}


def test_columns_are_read_back():
    for values in (torch.tensor([[1.5, -2.0]]), torch.arange(3), np.zeros((0, 4), np.float32)):
        assert unpacked(packed(values)).tolist() == np.asarray(values).reshape(-1).tolist()


def test_the_answer_is_the_assignment(api, source: Source, strict):
    given = api.ask("answer", question(strict))
    state = State.model_validate(strict)
    targets, grid = source.targets(state), state.grid((256, 320))
    for panel, rule in zip(given["panels"], (MaxIoU(positive=0.7, low_quality="none"), ATSS())):
        expected = rule(grid, targets)
        assert unpacked(panel["target"]).tolist() == expected.target.tolist()
        boxes = torch.from_numpy(unpacked(panel["boxes"]).reshape(-1, 4).copy())
        torch.testing.assert_close(boxes, grid.boxes(expected.anchor))
        assert panel["positives"] == len(expected)
        assert panel["ignored"] == len(expected.ignored)
        counts = torch.bincount(expected.target, minlength=len(targets))
        assert unpacked(panel["counts"]).tolist() == counts.tolist()
        lost = ((counts == 0) & ~targets.ignore).nonzero()[:, 0].tolist()
        assert [reason["object"] for reason in panel["reasons"]] == lost
        assert panel["without"] == len(lost)
    assert given["panels"][0]["without"] > 0 == given["panels"][0]["unexplained"]


def test_the_code_of_an_object_is_that_of_its_best_anchor(api, strict):
    given = api.ask("answer", question(strict))
    boxes = unpacked(given["boxes"]).reshape(-1, 4)
    panel = given["panels"][1]
    anchors, iou = unpacked(panel["boxes"]).reshape(-1, 4), unpacked(panel["iou"])
    target, codes = unpacked(panel["target"]), unpacked(panel["codes"]).reshape(-1, 4)
    for i, pair in enumerate(unpacked(panel["code_of"]).tolist()):
        assert target[pair] == i
        assert iou[pair] == iou[target == i].max()
        (ax1, ay1, ax2, ay2), (x1, y1, x2, y2) = anchors[pair], boxes[i]
        aw, ah = ax2 - ax1, ay2 - ay1
        by_hand = (
            ((x1 + x2) - (ax1 + ax2)) / 2 / aw,
            ((y1 + y2) - (ay1 + ay2)) / 2 / ah,
            np.log((x2 - x1) / aw),
            np.log((y2 - y1) / ah),
        )
        assert codes[i] == pytest.approx(by_hand, abs=1e-4)


def test_layers_hold_what_they_are_called(api, source, strict):
    strict["sampler"] = "random"
    given = api.ask("answer", question(strict, "ignored", "negative", "sampled"))
    panel = given["panels"][0]
    layers = panel["layers"]
    total = sum(layers[name]["total"] for name in ("ignored", "negative"))
    assert total + panel["positives"] - panel["shared"] == panel["anchors"]
    assert layers["sampled"]["total"] == 256
    assert layers["negative"]["shown"] <= SHOWN
    assert len(unpacked(layers["negative"]["level"])) == layers["negative"]["shown"]


# -- reasons, on paper: anchors of 32 x 32 with centres at 16, 48, 80, ... of a 128 x 160 image

GRID = Grid(image_size=(128, 160), levels=[Level(stride=32, shapes=[(32, 32)])])


def why(rule, *boxes, crowd=()):
    rows = {"boxes": torch.tensor(boxes, dtype=torch.float32)}
    rows["iscrowd"] = torch.tensor([i in crowd for i in range(len(boxes))])
    targets = Targets.from_list([rows])
    return reasons(rule, GRID, targets, rule(GRID, targets))


def test_who_took_the_anchor():
    """Both overlap the anchor at (0, 0, 32, 32): by 0.5 the second, wholly the first."""
    rule = MaxIoU(positive=0.5)
    (reason,) = why(rule, (0, 0, 32, 32), (0, 0, 16, 32))
    assert (reason["object"], reason["rival"], reason["alone"]) == (1, 0, 1)
    assert reason["iou"] == pytest.approx(0.5)
    assert (reason["rank"], reason["among"], reason["threshold"]) == (2, 2, 0.5)
    assert reason["box"] == [0, 0, 32, 32]
    assert reason["words"] == "Alone it would have 1 anchor; it answers for object 1."


def test_below_the_threshold():
    (reason,) = why(MaxIoU(positive=0.5, low_quality="none"), (0, 0, 8, 32))
    assert (reason["alone"], reason["rival"]) == (0, None)
    assert (reason["rank"], reason["among"]) == (1, 1)
    assert reason["iou"] == pytest.approx(0.25)
    assert reason["words"] == "No anchor reaches the IoU of 0.50 that MaxIoU asks for."


def test_nothing_overlaps():
    (reason,) = why(ATSS(), (200, 200, 220, 220))
    assert (reason["iou"], reason["box"], reason["among"]) == (0, None, 0)
    assert reason["words"] == "It overlaps no anchor at all."


def test_no_centre_inside():
    (reason,) = why(FCOS(), (18, 18, 30, 30))
    assert reason["words"] == "No anchor's centre lies inside it."
    assert reason["threshold"] is None


def test_shapes_too_far_apart():
    (reason,) = why(YOLOv5(max_ratio=4), (0, 0, 4, 32))
    assert "off by a factor of 8.0" in reason["words"]


def test_a_crowd_takes_anchors_but_gives_no_reason():
    """Anchors that it covers are ignored, unless an object has them."""
    found = why(MaxIoU(positive=0.5, low_quality="none"), (0, 0, 8, 32), (0, 0, 64, 64), crowd=(1,))
    assert [reason["object"] for reason in found] == [0]


def test_the_thresholds_of_atss_are_its_own():
    (reason,) = why(ATSS(), (18, 18, 30, 30))
    targets = Targets.from_list([{"boxes": torch.tensor([[18.0, 18, 30, 30]])}])
    pairs = GRID.nearest(targets, 9)
    iou = pairs.iou()
    assert reason["threshold"] == pytest.approx(float(iou.mean() + iou.std()))


def test_an_answer_that_is_kept_is_not_another_questions(api, strict):
    """Panels of the same strategy differ with the image, its objects, its anchors, its settings."""
    seen = []
    changes = (
        {},
        {"image": "3"},
        {"boxes": [[10, 10, 90, 70]], "labels": [0]},
        {"size": [128, 160]},
        {"levels": strict["levels"][:2]},
        {"strategies": [{"name": "atss", "settings": {"k": 3}}]},
    )
    for _ in range(2):
        for change in changes:
            panels = api.ask("answer", {"state": strict | change})["panels"]
            seen.append(panels[-1]["boxes"]["data"])
    assert len(set(seen)) == len(changes)
    assert seen[: len(changes)] == seen[len(changes) :]
    again = api.ask("answer", question(strict, "negative"))
    assert again["panels"][1]["layers"]["negative"]["total"] > 0


def test_a_panel_that_the_page_has_is_not_sent_again(api, strict):
    first = api.ask("answer", {"state": strict})["panels"]
    have = [panel["key"] for panel in first]
    moved = [{"name": "max_iou", "settings": {"positive": 0.65}}, strict["strategies"][1]]
    again = api.ask("answer", {"state": strict | {"strategies": moved}, "have": have})["panels"]
    assert again[1] == {"key": have[1]}
    assert again[0]["key"] not in have
    assert again[0]["positives"] > 0
    other = api.ask("answer", {"state": strict | {"image": "3"}, "have": have})["panels"]
    assert all("boxes" in panel and panel["key"] not in have for panel in other)


def test_what_is_asked_for_again_is_kept_longest():
    kept = Recent(2)
    kept.put("often", "panel")
    for i in range(5):
        assert kept.get("often") == "panel"
        kept.put(i, i)
    assert kept.get("often") == "panel"
    assert [kept.get(i) for i in range(5)] == [None, None, None, None, 4]


def test_why_is_asked_of_one_object_at_a_time(api, strict):
    every = api.ask("answer", question(strict))["panels"]
    assert api.ask("answer", {"state": strict})["panels"][0]["reasons"] == []
    for reason in every[0]["reasons"]:
        found = api.ask("why", {"state": strict, "object": reason["object"]})["reasons"]
        assert found == [reason, None]
    answered = int(np.argmax(unpacked(every[0]["counts"])))
    assert api.ask("why", {"state": strict, "object": answered})["reasons"] == [None, None]


# -- every strategy, every detector's start


def test_every_strategy_answers_or_says_what_it_needs(api, source):
    state = source.start.model_dump(mode="json")
    forms = api.ask("open", {})["strategies"]
    assert [form["name"] for form in forms] == list(STRATEGIES)
    for form in forms:
        changed = state | {"strategies": [{"name": form["name"], "settings": {}}]}
        (panel,) = api.ask("answer", question(changed))["panels"]
        assert "error" not in panel or "kedge live --run" in panel["error"], panel
        for field in form["fields"]:
            if field["kind"] == "number":
                assert field["low"] < field["high"]
                middle = field["default"] if field["default"] is not None else field["high"]
                assert field["low"] <= middle <= field["high"], (form["name"], field)


def test_a_guarantee_leaves_no_object_without_and_is_code(api, strict):
    strict["strategies"][0]["settings"] = {"positive": 0.95, "low_quality": "none"}
    assert api.ask("answer", question(strict))["panels"][0]["without"] > 0
    strict["strategies"][0]["settings"]["guarantee"] = True
    assert api.ask("answer", question(strict))["panels"][0]["without"] == 0
    python = api.ask("code", {"state": strict})["python"]
    assert "Guaranteed(strategy=MaxIoU(positive=0.95, low_quality='none'))" in python
    assert re.search(r"from kedge.assign import .*Guaranteed, MaxIoU", python)
    rule = strategy("max_iou:positive=0.9,guarantee=true")
    said = strategy_state(rule)
    assert said is not None
    assert strategy(said.spec()).strategy == rule.strategy


def test_a_setting_that_is_refused_says_why_and_the_other_panel_stays(api, strict):
    strict["strategies"][0]["settings"] = {"positive": 0.2, "negative": 0.4}
    one, two = api.ask("answer", question(strict))["panels"]
    assert "needs 0 <= negative <= positive" in one["error"]
    assert two["positives"] > 0


@pytest.mark.parametrize("resize", ["letterbox", "stretch", "short-side"])
def test_objects_lie_where_the_image_lies(api, strict, resize):
    strict |= {"resize": resize, "size": [320, 640]}
    given = api.ask("answer", question(strict))
    x, y, w, h = given["placed"]
    first = given["input"]
    expected = {
        "letterbox": ((320, 640), (120, 0, 400, 320)),
        "stretch": ((320, 640), (0, 0, 640, 320)),
        "short-side": ((320, 400), (0, 0, 400, 320)),
    }[resize]
    assert (tuple(first), (x, y, w, h)) == expected
    boxes = unpacked(given["boxes"]).reshape(-1, 4)
    assert boxes[:, [0, 2]].min() >= x - 1
    assert boxes[:, [0, 2]].max() <= x + w + 1


def test_drawn_objects_replace_the_images_own(api, strict):
    strict |= {"boxes": [[10, 10, 90, 70], [60, 90, 20, 30]], "labels": [0, 1]}
    given = api.ask("answer", question(strict))
    assert unpacked(given["boxes"]).reshape(-1, 4).tolist() == [[10, 10, 90, 70], [20, 30, 60, 90]]
    assert unpacked(given["labels"]).tolist() == [0, 1]


def test_an_image_without_objects(api, strict):
    strict |= {"boxes": [], "labels": []}
    for panel in api.ask("answer", question(strict, "ignored", "negative"))["panels"]:
        assert (panel["positives"], panel["without"], panel["reasons"]) == (0, 0, [])
