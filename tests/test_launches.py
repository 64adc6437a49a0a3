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
    "MaxIoU": (197, 12, 528, 18),
    "SSDMatch": (159, 8, 490, 14),
    "SSDMatch greedy": (325, 18, 803, 26),
    "ATSS": (190, 4, 228, 5),
    "FCOS": (82, 3, 139, 4),
    "FCOS centre": (106, 3, 163, 4),
    "CentreRegion": (84, 4, 200, 6),
    "RFLA": (250, 10, 510, 13),
    "Uniform": (124, 4, 246, 5),
    "BestInCell": (61, 2, 61, 2),
    "YOLOv3": (61, 2, 61, 2),
    "YOLOv5": (84, 2, 84, 2),
    "SoftCell": (55, 2, 55, 2),
    "Uniform, predictions": (283, 9, 1806, 72),
    "BestInCell, predictions": (111, 5, 1287, 57),
    "YOLOv3, predictions": (111, 5, 1331, 61),
    "PAA": (1474, 13, 1805, 19),
    "FreeAnchor": (146, 3, 1697, 64),
    "MAL": (190, 4, 1741, 65),
    "NoisyAnchors": (279, 4, 809, 12),
    "LADA": (278, 6, 335, 7),
    "OTA": (3385, 6, 3442, 7),
    "SimOTA": (320, 11, 1464, 65),
    "TAL": (263, 6, 1541, 63),
    "AutoAssign": (145, 2, 203, 3),
    "DW": (149, 2, 207, 3),
    "DynamicSoftLabel": (305, 11, 2209, 92),
    "Hungarian": (209, 8, 209, 8),
    "MaxIoU, SimD": (636, 21, 728, 22),
    "Ranked": (325, 9, 417, 10),
    "SizeIoU": (79, 5, 226, 8),
    "ATSS, predictions": (189, 4, 256, 5),
    "TAL, one kept": (283, 7, 1561, 64),
    "POTO": (113, 4, 170, 5),
    "OneToFew": (138, 3, 196, 4),
    "AlignedOTA": (318, 11, 1462, 65),
    "YOLOv7": (341, 11, 1723, 71),
    "Hungarian, repeated": (891, 16, 891, 16),
    "Hungarian, product": (141, 8, 141, 8),
    "MaxIoU, guaranteed": (471, 23, 747, 28),
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
