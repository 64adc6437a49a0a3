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
    "MaxIoU": (98, 8, 243, 11),
    "SSDMatch": (120, 7, 265, 10),
    "SSDMatch greedy": (298, 16, 750, 25),
    "ATSS": (161, 4, 161, 4),
    "FCOS": (77, 3, 137, 4),
    "FCOS centre": (100, 3, 160, 4),
    "CentreRegion": (77, 4, 199, 6),
    "RFLA": (230, 10, 409, 13),
    "Uniform": (119, 4, 202, 5),
    "BestInCell": (44, 1, 44, 1),
    "YOLOv3": (44, 1, 44, 1),
    "YOLOv5": (83, 2, 83, 2),
    "SoftCell": (54, 2, 54, 2),
    "Uniform, predictions": (264, 9, 1747, 72),
    "BestInCell, predictions": (90, 4, 1259, 56),
    "YOLOv3, predictions": (90, 4, 1303, 60),
    "PAA": (1092, 15, 1237, 18),
    "FreeAnchor": (140, 3, 1660, 65),
    "MAL": (184, 4, 1704, 66),
    "NoisyAnchors": (252, 4, 756, 13),
    "LADA": (260, 6, 320, 7),
    "OTA": (3369, 6, 3429, 7),
    "SimOTA": (295, 11, 1440, 65),
    "TAL": (252, 6, 1526, 63),
    "AutoAssign": (138, 2, 199, 3),
    "DW": (142, 2, 203, 3),
    "DynamicSoftLabel": (281, 11, 2394, 99),
    "Hungarian": (191, 6, 191, 6),
    "MaxIoU, SimD": (145, 10, 274, 13),
    "Ranked": (144, 4, 337, 8),
    "SizeIoU": (78, 5, 223, 8),
    "ATSS, predictions": (187, 4, 187, 4),
    "TAL, one kept": (272, 7, 1546, 64),
    "POTO": (107, 4, 167, 5),
    "OneToFew": (133, 3, 194, 4),
    "AlignedOTA": (293, 11, 1438, 65),
    "YOLOv7": (319, 11, 1693, 71),
    "Hungarian, repeated": (583, 12, 583, 12),
    "Hungarian, product": (115, 6, 115, 6),
    "MaxIoU, guaranteed": (411, 19, 613, 23),
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
