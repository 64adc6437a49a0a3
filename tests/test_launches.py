"""What every rule asks of a device, held to a budget: a rule may become cheaper, never dearer.

Two images of eight objects at 640 x 640. The project wants 80 launches and 2 waits by a table, by
the search 150 and 4 for a rule of geometry and 400 and 10 for one that reads predictions; where a
budget below is larger, that is what is left to do.
"""

import sys

import pytest
import torch
from assign.launches import OF_A_PROCESSOR, Launches
from conftest import REPOSITORY

from kedge import Targets
from kedge.assign.by_name import strategy

sys.path.append(str(REPOSITORY / "benchmarks"))
import assign_cases

SIZE, OBJECTS, BATCH = (640, 640), 8, 2

# launches and waits by a table, and by the search
BUDGET = {
    "MaxIoU": (80, 6, 223, 9),
    "SSDMatch": (114, 7, 257, 10),
    "SSDMatch greedy": (278, 16, 716, 25),
    "ATSS": (157, 4, 157, 4),
    "FCOS": (75, 3, 134, 4),
    "FCOS centre": (98, 3, 157, 4),
    "CentreRegion": (75, 4, 195, 6),
    "RFLA": (229, 10, 405, 13),
    "Uniform": (115, 4, 197, 5),
    "BestInCell": (39, 1, 39, 1),
    "YOLOv3": (39, 1, 39, 1),
    "YOLOv5": (79, 2, 79, 2),
    "SoftCell": (35, 1, 35, 1),
    "Uniform, predictions": (261, 9, 765, 20),
    "BestInCell, predictions": (85, 4, 295, 8),
    "YOLOv3, predictions": (85, 4, 295, 8),
    "PAA": (1071, 15, 1214, 18),
    "FreeAnchor": (137, 3, 642, 13),
    "MAL": (172, 4, 677, 14),
    "NoisyAnchors": (216, 4, 706, 13),
    "LADA": (230, 6, 289, 7),
    "OTA": (2608, 6, 2667, 7),
    "SimOTA": (243, 7, 577, 17),
    "TAL": (224, 6, 494, 11),
    "AutoAssign": (135, 2, 195, 3),
    "DW": (139, 2, 199, 3),
    "DynamicSoftLabel": (226, 7, 499, 13),
    "Hungarian": (124, 4, 124, 4),
    "MaxIoU, SimD": (139, 10, 267, 13),
    "Ranked": (141, 4, 332, 8),
    "SizeIoU": (70, 4, 213, 7),
    "ATSS, predictions": (182, 4, 182, 4),
    "TAL, one kept": (243, 7, 513, 12),
    "POTO": (105, 4, 164, 5),
    "OneToFew": (119, 3, 179, 4),
    "AlignedOTA": (241, 7, 575, 17),
    "YOLOv7": (264, 7, 477, 12),
    "Hungarian, repeated": (582, 12, 582, 12),
    "Hungarian, product": (78, 4, 78, 4),
    "MaxIoU, guaranteed": (389, 18, 588, 22),
}
# what the table of speeds does not have: strategy, grid, reads predictions
MORE = {
    "Hungarian, repeated": ("hungarian:repeat=2,groups=5", assign_cases.points, True),
    "MaxIoU, guaranteed": (
        "max_iou:positive=0.9,guarantee=yes,low_quality=none",
        assign_cases.retinanet,
        False,
    ),
}


def batch(name: str) -> tuple:
    """The strategy, its grid, objects and predictions of one line of the budget."""
    rng = torch.Generator().manual_seed(0)
    if name in MORE:
        spec, anchors, predicts = MORE[name]
        rule, grid = strategy(spec), anchors(SIZE)
    else:
        case = assign_cases.CASES[name]
        rule, grid, predicts = case.strategy(), case.grid(SIZE), case.predictions
    boxes = [assign_cases.objects(OBJECTS, SIZE, "scene", rng) for _ in range(BATCH)]
    labels = [torch.randint(20, (OBJECTS,), generator=rng) for _ in boxes]
    given = assign_cases.predictions(grid, boxes, rng) if predicts else None
    rows = [{"boxes": b, "labels": c} for b, c in zip(boxes, labels)]
    return rule, grid, Targets.from_list(rows), given


@pytest.mark.parametrize("name", BUDGET)
def test_no_rule_asks_for_more_than_its_budget(name, both_ways, monkeypatch):
    for module, limit in OF_A_PROCESSOR:
        monkeypatch.setattr(module, limit, sys.maxsize)
    rule, grid, targets, given = batch(name)
    rule(grid, targets, given)  # builds the tables that a grid keeps
    with Launches() as seen:
        rule(grid, targets, given)
    allowed = BUDGET[name][:2] if both_ways == "table" else BUDGET[name][2:]
    assert (seen.launches, seen.waits) <= allowed, (seen.names, seen.waiting)
    assert seen.launches <= allowed[0]
    assert seen.waits <= allowed[1]


def test_every_line_of_the_table_of_speeds_has_a_budget():
    assert set(BUDGET) == {*assign_cases.CASES, *MORE}


def test_the_count_is_of_launches_and_waits():
    with Launches() as seen:
        values = torch.arange(6.0)
        values.view(2, 3).t()  # looks at the same memory
        values[values > 2]  # the host waits for how many
        float(values.sum())
    assert seen.waits == 2
    assert seen.names["arange"] == 1
    assert seen.names["gt"] == 1
    assert "view" not in seen.names
