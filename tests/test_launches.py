"""What every rule asks of a device, held to a budget: a rule may become cheaper, never dearer.

Two images of eight objects at 640 x 640. The project wants 80 launches and 2 waits by a table, by
the search 150 and 4 for a rule of geometry and 400 and 10 for one that reads predictions; where a
budget below is larger, that is what is left to do.
"""

import sys

import pytest
import torch
from assign.launches import Launches
from conftest import REPOSITORY

from kedge import Targets

sys.path.append(str(REPOSITORY / "benchmarks"))
import assign_cases

SIZE, OBJECTS, BATCH = (640, 640), 8, 2

# launches and waits by a table, and by the search
BUDGET = {
    "MaxIoU": (214, 12, 539, 18),
    "SSDMatch": (185, 8, 510, 14),
    "SSDMatch greedy": (827, 32, 983, 34),
    "ATSS": (222, 5, 262, 6),
    "FCOS": (94, 3, 186, 5),
    "FCOS centre": (128, 4, 220, 6),
    "CentreRegion": (88, 4, 275, 8),
    "RFLA": (303, 12, 603, 16),
    "Uniform": (126, 4, 251, 5),
    "BestInCell": (105, 4, 105, 4),
    "YOLOv3": (105, 4, 105, 4),
    "YOLOv5": (237, 10, 237, 10),
    "SoftCell": (80, 3, 80, 3),
    "Uniform, predictions": (289, 9, 1824, 72),
    "BestInCell, predictions": (161, 7, 1342, 59),
    "YOLOv3, predictions": (161, 7, 1386, 63),
    "PAA": (1495, 13, 1825, 19),
    "FreeAnchor": (162, 3, 2338, 83),
    "MAL": (206, 4, 2382, 84),
    "NoisyAnchors": (297, 4, 1264, 27),
    "LADA": (289, 6, 381, 8),
    "OTA": (3394, 6, 3486, 8),
    "SimOTA": (374, 15, 2321, 97),
    "TAL": (304, 6, 1621, 64),
    "AutoAssign": (176, 2, 270, 4),
    "DW": (180, 2, 274, 4),
    "DynamicSoftLabel": (428, 15, 2377, 97),
    "Hungarian": (245, 12, 245, 12),
}


def batch(name: str) -> tuple:
    """The strategy, its grid, objects and predictions of one line of the table of speeds."""
    case, rng = assign_cases.CASES[name], torch.Generator().manual_seed(0)
    grid = case.grid(SIZE)
    boxes = [assign_cases.objects(OBJECTS, SIZE, "scene", rng) for _ in range(BATCH)]
    labels = [torch.randint(20, (OBJECTS,), generator=rng) for _ in boxes]
    given = assign_cases.predictions(grid, boxes, rng) if case.predictions else None
    rows = [{"boxes": b, "labels": c} for b, c in zip(boxes, labels)]
    return case.strategy(), grid, Targets.from_list(rows), given


@pytest.mark.parametrize("name", assign_cases.CASES)
def test_no_rule_asks_for_more_than_its_budget(name, both_ways):
    strategy, grid, targets, given = batch(name)
    strategy(grid, targets, given)  # builds the tables that a grid keeps
    with Launches() as seen:
        strategy(grid, targets, given)
    allowed = BUDGET[name][:2] if both_ways == "table" else BUDGET[name][2:]
    assert (seen.launches, seen.waits) <= allowed, (seen.names, seen.waiting)
    assert seen.launches <= allowed[0]
    assert seen.waits <= allowed[1]


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
