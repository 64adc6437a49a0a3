"""MMDetection's assigners of geometry, and its Hungarian: equal, and where not."""

import pytest
import torch
from parity.cases import assert_same, boxes, mm, needs, peers, points, scene, squares
from torchvision.ops import box_iou

from kedge import Free, Grid, Level, Predictions, Targets
from kedge.assign import ATSS, CentreRegion, Hungarian, MaxIoU, Uniform

pytestmark = needs("MMDetection")


@pytest.mark.parametrize("peer", ["MMDetection", "MMDetection RPN"])
def test_max_iou(peer):
    assert_same(("MaxIoU", peer), boxes())
    assert_same(("MaxIoU", peer), boxes((96, 416)), seeds=20, side=(8.0, 60.0))


@pytest.mark.parametrize("peer", ["MMDetection", "MMDetection centre"])
def test_fcos(peer):
    assert_same(("FCOS", peer), points())


def test_atss():
    assert_same(("ATSS", "MMDetection"), squares())
    assert_same(("ATSS", "MMDetection"), points())


def test_atss_counts_cells_where_mmdetection_counts_anchors():
    # equal with nine times the shapes of a cell; with nine it looks at three cells of three shapes
    grid = boxes()
    assert_same(("ATSS", "MMDetection"), grid)
    targets, _ = scene(grid, 0, counts=(14,))
    peer = mm.mmdetection()
    theirs = mm.mmdetection_labels(
        peer.assigners.ATSSAssigner(topk=9).assign(
            peer.InstanceData(priors=grid.boxes()),
            list(grid.anchors_per_level),
            mm.mmdetection_instances(targets.boxes, targets.labels),
        )
    )
    assert not torch.equal(ATSS()(grid, targets).dense()[0], theirs)
    assert torch.equal(ATSS(k=3)(grid, targets).dense()[0], theirs)  # with that it agrees


def test_centre_region_on_points():
    assert_same(("CentreRegion", "MMDetection"), points())


def test_hungarian():
    assert_same(("Hungarian", "MMDetection"), points((96, 128), levels=3))
    # more objects than anchors
    assert_same(("Hungarian", "MMDetection"), points((32, 48), levels=1), seeds=20, counts=(40, 25))


def test_hungarian_with_the_costs_of_detr():
    peer = mm.mmdetection()
    costs = [
        {"type": "ClassificationCost", "weight": 1.0},
        {"type": "BBoxL1Cost", "weight": 5.0, "box_format": "xywh"},
        {"type": "IoUCost", "iou_mode": "giou", "weight": 2.0},
    ]
    grid = points((96, 128), levels=3)
    for seed in range(20):
        targets, predictions = scene(grid, seed, counts=(9,))
        given = peer.InstanceData(bboxes=predictions.codes[0], scores=predictions.logits[0])
        theirs = peer.assigners.HungarianAssigner(costs).assign(
            given,
            mm.mmdetection_instances(targets.boxes, targets.labels),
            img_meta={"img_shape": (96, 128)},
        )
        ours = Hungarian.detr()(grid, targets, predictions).dense()[0]
        assert torch.equal(ours, mm.mmdetection_labels(theirs)), seed


# -- the nearest predictions: YOLOF ----------------------------------------------------------------


def wanted(candidates: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """(N, G) whether a candidate is one of the four nearest to an object."""

    def form(b: torch.Tensor) -> torch.Tensor:
        return torch.cat([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1)

    near = torch.cdist(form(candidates), form(found), p=1).topk(4, dim=0, largest=False).indices
    return torch.zeros(len(candidates), len(found)).scatter_(0, near, 1).bool()


def test_uniform_but_for_anchors_that_two_objects_want():
    # on a grid the L1 distance ties all the time, so the anchors are shaken
    same = contested = 0
    grid = boxes()
    for seed in range(40):
        targets, predictions = scene(grid, seed, counts=(8,))
        rng = torch.Generator().manual_seed(seed)
        anchors = grid.boxes() + 2 * torch.rand(len(grid), 4, generator=rng)
        found, predicted = targets.boxes, predictions.codes[0]
        theirs = peers.PEERS["Uniform", "MMDetection"](
            None, anchors, found, targets.labels, None, predicted
        )
        ours = Uniform()(Free(anchors), targets, predictions).dense()[0]
        claims = wanted(anchors, found) | wanted(predicted, found)
        alone = claims.sum(1) < 2
        assert torch.equal(ours[alone], theirs[alone]), seed
        same += torch.equal(ours, theirs)
        contested += int((~alone).sum())
    assert same > 5
    assert contested > 20


def test_uniform_gives_a_contested_anchor_to_the_nearest_object():
    anchors = torch.tensor(
        [[0.0, 0, 20, 20], [100, 0, 120, 20], [100, 50, 120, 70], [0, 50, 20, 70]]
    )
    found = torch.tensor([[0.0, 0, 20, 20], [2, 0, 22, 20]])
    targets = Targets.from_list([{"boxes": found}])
    predictions = Predictions.from_tensors(torch.zeros(1, 4, 2), anchors[None])
    theirs = peers.PEERS["Uniform", "MMDetection"](
        None, anchors, found, targets.labels, None, anchors
    )
    assert theirs.tolist() == [1, -2, -2, -2]  # the last one written
    ours = Uniform(ignore_above=1.0)(Free(anchors), targets, predictions).dense()[0]
    assert ours.tolist() == [0, -2, -2, -2]


# -- deviations ------------------------------------------------------------------------------------


def labelled(rule: tuple[str, str], anchors: torch.Tensor, found: torch.Tensor) -> list[int]:
    """The peer's labels for one image without classes."""
    zeros = torch.zeros(len(found), dtype=torch.int64)
    return peers.PEERS[rule](None, anchors, found, zeros, None, None).tolist()


def test_the_matrix_on_which_the_libraries_disagree():
    quality = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1]])
    assigner = mm.mmdetection().assigners.MaxIoUAssigner(0.7, 0.3)
    result = assigner.assign_wrt_overlaps(quality, torch.zeros(2, dtype=torch.int64))
    assert result.gt_inds.tolist() == [2, -1, 0]  # object + 1; the rescuer keeps its anchor

    anchors = torch.tensor([[0.0, 0, 100, 10], [55, 0, 100, 10], [150, 0, 160, 10]])
    found = torch.tensor([[0.0, 0, 90, 10], [0, 0, 80, 10]])
    targets = Targets.from_list([{"boxes": found}])
    settings = {"positive": 0.7, "negative": 0.3}
    own = MaxIoU(**settings)(Free(anchors), targets).dense()[0].tolist()
    rescuer = MaxIoU(**settings, low_quality="rescuer")(Free(anchors), targets).dense()[0].tolist()
    assert (own, rescuer) == ([0, -2, -1], [1, -2, -1])
    assert labelled(("MaxIoU", "MMDetection RPN"), anchors, found) == rescuer


def test_an_object_that_touches_nothing_makes_every_anchor_positive_there():
    anchors = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
    away = torch.tensor([[100.0, 100, 110, 110]])
    assert labelled(("MaxIoU", "MMDetection"), anchors, away) == [0, 0]
    assert labelled(("MaxIoU", "MMDetection RPN"), anchors, away) == [-1, -1]
    ours = MaxIoU(low_quality="rescuer")(Free(anchors), Targets.from_list([{"boxes": away}]))
    assert ours.dense().tolist() == [[-1, -1]]


def test_a_union_below_a_millionth_is_raised_there():
    # normalised coordinates: two equal boxes of 0.0005 have IoU 1, and 0.25 there
    tiny = torch.tensor([[0.1, 0.1, 0.1005, 0.1005]])
    from mmdet.structures.bbox import bbox_overlaps

    assert bbox_overlaps(tiny, tiny).item() == pytest.approx(0.25, rel=1e-3)
    ours = MaxIoU()(Free(tiny), Targets.from_list([{"boxes": tiny}]))
    assert ours.dense().tolist() == [[0]]


def test_a_single_candidate_is_a_nan_that_is_dropped_there():
    grid = Grid((10, 10), [Level(stride=10, shapes=[(10.0, 10.0)])])
    found = torch.tensor([[1.0, 1, 9, 9]])
    theirs = peers.PEERS["ATSS", "MMDetection"](
        grid, grid.boxes(), found, torch.zeros(1).long(), None, None
    )
    assert theirs.tolist() == [-1]
    assert ATSS()(grid, Targets.from_list([{"boxes": found}])).dense().tolist() == [[0]]


def test_whole_anchors_reach_into_a_centre_region_that_their_centres_do_not():
    grid = points((96, 128), levels=2)
    targets, _ = scene(grid, 1, counts=(3,), side=(20.0, 80.0))
    peer = mm.mmdetection()
    assigner = peer.assigners.CenterRegionAssigner(
        pos_scale=0.2, neg_scale=0.2, min_pos_iof=0.01, foreground_dominate=True
    )  # FSAF's settings, but that there two objects of a class lose a point that both want
    result = assigner.assign(
        peer.InstanceData(priors=grid.boxes()),
        mm.mmdetection_instances(targets.boxes, targets.labels),
    )
    theirs = mm.mmdetection_labels(result)
    ours = CentreRegion(positive=0.2, ignored=0.2)(grid, targets).dense()[0]
    assert ((ours >= 0) <= (theirs >= 0)).all()
    assert (theirs >= 0).sum() > (ours >= 0).sum()
    # the paper's region is of points: ours are exactly those with the centre inside
    centre, half = (
        (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2,
        0.1 * (targets.boxes[:, 2:] - targets.boxes[:, :2]),
    )
    inside = ((grid.points()[:, None] - centre).abs() < half).all(-1)
    assert torch.equal(ours >= 0, inside.any(1))


# -- crowds ----------------------------------------------------------------------------------------


def crowded(seed: int, grid: Grid, apart: bool) -> Targets:
    """Objects in the left half of the image, and two crowds in the right half or anywhere."""
    targets, _ = scene(grid, seed, counts=(8,), side=(6.0, 30.0))
    height, width = grid.image_size
    shift = torch.tensor([0.5, 1.0, 0.5, 1.0])
    found = targets.boxes * shift if apart else targets.boxes
    rng = torch.Generator().manual_seed(seed)
    side = 40 + 30 * torch.rand(2, 2, generator=rng)
    corner = torch.rand(2, 2, generator=rng) * torch.tensor([width / 2 - 80, height - 60.0])
    corner[:, 0] += width / 2 + 20 if apart else 0
    crowds = torch.cat([corner, corner + side], 1)
    ignored = torch.arange(10) >= 8
    return Targets.from_list([{"boxes": torch.cat([found, crowds]), "iscrowd": ignored}])


def with_crowds(grid: Grid, targets: Targets, name: str) -> torch.Tensor:
    """The peer's labels with its own handling of crowds, switched on."""
    peer = mm.mmdetection()
    real = ~targets.ignore
    given = mm.mmdetection_instances(targets.boxes[real], targets.labels[real])
    crowds = peer.InstanceData(bboxes=targets.boxes[targets.ignore])
    priors = peer.InstanceData(priors=grid.boxes())
    if name == "ATSS":
        shapes = grid.shapes_per_level[0]
        assigner = peer.assigners.ATSSAssigner(topk=9 * shapes, ignore_iof_thr=0.5)
        result = assigner.assign(priors, list(grid.anchors_per_level), given, crowds)
    else:
        assigner = peer.assigners.MaxIoUAssigner(0.5, 0.4, ignore_iof_thr=0.5)
        result = assigner.assign(priors, given, crowds)
    return mm.mmdetection_labels(result)


@pytest.mark.parametrize(
    ("name", "own"), [("MaxIoU", MaxIoU(low_quality="rescuer")), ("ATSS", ATSS())]
)
def test_crowds_apart_from_the_objects(name, own):
    grid = boxes()
    ignored = 0
    for seed in range(30):
        targets = crowded(seed, grid, apart=True)
        ours = own(grid, targets).dense()[0]
        theirs = with_crowds(grid, targets, name)
        touched = box_iou(grid.boxes(), targets.boxes[~targets.ignore]).amax(1) > 0
        assert torch.equal(ours[~touched], theirs[~touched]), seed
        assert torch.equal(ours >= 0, theirs >= 0), seed
        ignored += int((ours == -2).sum())
    assert ignored > 1000


def test_an_object_in_a_crowd_keeps_its_anchors_here():
    grid = Grid((64, 96), [Level(stride=16, shapes=[(24.0, 24.0)])])
    found = torch.tensor([[28.0, 28, 52, 52], [0, 0, 96, 64]])
    targets = Targets.from_list([{"boxes": found, "iscrowd": torch.tensor([0, 1])}])
    ours = MaxIoU(low_quality="rescuer")(grid, targets).dense()[0]
    assert (ours >= 0).any()
    theirs = with_crowds(grid, targets, "MaxIoU")
    # MMDetection sets the IoU of every covered anchor to -1: the object is left alone
    assert (theirs < 0).all()
