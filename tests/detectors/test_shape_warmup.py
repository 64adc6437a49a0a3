"""The warm-ups without places: by hand, from any start, and their state."""

import pytest
import torch

from kedge import Level, Targets
from kedge.anchors.learned import LearnedShapes
from kedge.assign import SoftCell
from kedge.detectors.annealed_warmup import AnnealedWarmup
from kedge.detectors.gradient_warmup import GradientWarmup
from kedge.evaluate.anchor_fit import mean_best_iou
from kedge.losses.clustering import clustering_loss

STARTS = {
    "identical": [(160, 160)] * 3,
    "uniform": [(96, 96), (96, 288), (288, 96)],
    "tiny": [(4, 4), (5, 5), (6, 6)],
}
CENTRES = torch.tensor([[20.0, 60], [70, 25], [150, 160]])


def batch(seed: int, images: int = 8, scale: float = 1.0) -> Targets:
    """Objects of three kinds, a tenth of their size apart."""
    random = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(images):
        kind = torch.randint(0, 3, (5,), generator=random)
        vary = (1 + 0.1 * torch.randn(5, 2, generator=random)).clamp(min=0.5)
        size = scale * CENTRES[kind] * vary
        corner = torch.rand(5, 2, generator=random) * 100
        out.append({"boxes": torch.cat([corner, corner + size], 1)})
    return Targets.from_list(out)


def annealed(start, steps=60, seed=0) -> torch.Tensor:
    anchors = LearnedShapes([Level(stride=32, shapes=start)])
    warmup = AnnealedWarmup(steps=steps, num_shapes=len(anchors), seed=seed)
    for step in range(steps):
        warmup.update(anchors, batch(step))
    assert not warmup.active
    return anchors.shapes


def test_every_start_ends_at_the_same_shapes():
    ends = {name: annealed(start) for name, start in STARTS.items()}
    for shapes in ends.values():
        assert torch.equal(shapes, ends["identical"])
    wanted = CENTRES[CENTRES.log().sum(1).argsort()]
    assert torch.allclose(ends["identical"], wanted, rtol=0.05)


def test_annealing_reaches_what_kmeans_reaches():
    from kedge.design.kmeans import kmeans

    objects = torch.cat([batch(i).boxes for i in range(60)])
    wh = objects[:, 2:] - objects[:, :2]
    reference = torch.as_tensor(kmeans(wh, 3))
    for start in STARTS.values():
        gap = mean_best_iou(wh, reference) - mean_best_iou(wh, annealed(start))
        assert gap < 0.015


def test_shapes_stay_in_order_of_area_so_that_fine_levels_get_small_ones():
    levels = [Level(stride=s, shapes=[(160, 160)]) for s in (8, 16, 32)]
    anchors = LearnedShapes(levels)
    warmup = AnnealedWarmup(steps=60, num_shapes=3)
    for step in range(60):
        warmup.update(anchors, batch(step))
    area = anchors.shapes.prod(1)
    assert (area[1:] > area[:-1]).all()


def test_a_warmup_resumes_where_it_stopped():
    def run(stop: int | None) -> torch.Tensor:
        anchors = LearnedShapes([Level(stride=32, shapes=STARTS["tiny"])])
        warmup = AnnealedWarmup(steps=30, num_shapes=3)
        for step in range(30):
            if step == stop:
                saved = anchors.state_dict(), warmup.state_dict()
                anchors = LearnedShapes([Level(stride=32, shapes=STARTS["uniform"])])
                warmup = AnnealedWarmup(steps=30, num_shapes=3)
                anchors.load_state_dict(saved[0])
                warmup.load_state_dict(saved[1])
            warmup.update(anchors, batch(step))
        return anchors.log_shapes

    assert torch.equal(run(None), run(11))


@pytest.mark.parametrize(
    "boxes",
    [torch.zeros(0, 4), torch.tensor([[5.0, 5, 5, 9]]), torch.tensor([[0.0, 0, 9, 9]])],
    ids=["empty", "no area", "crowd"],
)
def test_batches_without_usable_objects_change_nothing(boxes):
    anchors = LearnedShapes([Level(stride=32, shapes=STARTS["uniform"])])
    before = anchors.shapes.clone()
    warmup = AnnealedWarmup(steps=2, num_shapes=3)
    warmup.update(anchors, Targets.from_list([{"boxes": boxes, "iscrowd": torch.ones(len(boxes))}]))
    assert torch.equal(anchors.shapes, before)
    assert warmup.active


def test_one_box_is_enough():
    anchors = LearnedShapes([Level(stride=32, shapes=STARTS["uniform"])])
    warmup = AnnealedWarmup(steps=20, num_shapes=3)
    for _ in range(20):
        warmup.update(anchors, Targets.from_list([{"boxes": torch.tensor([[0.0, 0, 1, 7]])}]))
    assert torch.allclose(anchors.shapes, torch.tensor([1.0, 7.0]).expand(3, 2), rtol=1e-3)


def test_soft_shares_by_hand():
    """Distances 0 and (ln 2)^2 at T = 1: shares 1 / (1 + exp(-0.4805)) = 0.6178, 0.3822."""
    grid = LearnedShapes([Level(stride=32, shapes=[(10, 10), (20, 10)])])((32, 32))
    targets = Targets.from_list([{"boxes": torch.tensor([[4.0, 4, 14, 14]])}])
    out = SoftCell(temperature=1.0)(grid, targets)
    assert out.anchor.tolist() == [0, 1]
    assert torch.allclose(out.weight, torch.tensor([0.6178, 0.3822]), atol=1e-4)


def test_clustering_by_hand():
    """Half of 0.6178 * 0 + 0.3822 * 0.4805 over a sum of 1 = 0.0918; its gradient pulls 20 down."""
    anchors = LearnedShapes([Level(stride=32, shapes=[(10, 10), (20, 10)])])
    grid = anchors((32, 32))
    targets = Targets.from_list([{"boxes": torch.tensor([[4.0, 4, 14, 14]])}])
    loss = clustering_loss(grid.in_cell(targets), torch.tensor([0.6178, 0.3822]))
    assert torch.allclose(loss, torch.tensor(0.0918), atol=1e-4)
    loss.backward()
    assert anchors.log_shapes.grad[1, 0] == pytest.approx(0.3822 * 0.6931, abs=1e-3)
    assert anchors.log_shapes.grad[0].abs().max() < 1e-5


def test_clustering_gradient_against_finite_differences():
    targets = batch(0)
    targets = Targets(
        boxes=targets.boxes.double(), labels=targets.labels, image=targets.image, batch_size=8
    )
    anchors = LearnedShapes([Level(stride=32, shapes=STARTS["uniform"])]).double()
    template = anchors((96, 128))

    def loss(log_shapes):
        pairs = template.with_shapes(log_shapes.exp()).in_cell(targets)
        return clustering_loss(pairs, torch.linspace(0.1, 1, len(pairs), dtype=torch.float64))

    start = anchors.log_shapes.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (start,))


def test_the_papers_warmup_fades():
    warmup = GradientWarmup(steps=4, temperature=2.0)
    seen = []
    while warmup.active:
        seen.append(warmup.assigner().temperature)
        warmup.advance()
    assert seen == [2.0, 1.5, 1.0, 0.5]
    assert warmup.assigner() is None
    anchors = LearnedShapes([Level(stride=32, shapes=STARTS["uniform"])])
    assert warmup.loss(anchors((96, 128)), batch(0)).item() == 0


def test_the_papers_aids_switch_off_on_their_own():
    grid = LearnedShapes([Level(stride=32, shapes=STARTS["uniform"])])((96, 128))
    assert GradientWarmup(steps=4, soft=False).assigner() is None
    assert GradientWarmup(steps=4, soft=False).loss(grid, batch(0)) > 0
    assert GradientWarmup(steps=4, clustering=0.0).loss(grid, batch(0)) == 0
    assert GradientWarmup(steps=4, clustering=0.0).assigner() is not None


def test_the_papers_clustering_term_alone_moves_shapes_to_the_objects():
    anchors = LearnedShapes([Level(stride=32, shapes=STARTS["uniform"])])
    warmup = GradientWarmup(steps=300)
    adam = torch.optim.Adam(anchors.parameters(), lr=0.05)
    objects = torch.cat([batch(i).boxes for i in range(20)])
    wh = objects[:, 2:] - objects[:, :2]
    before = mean_best_iou(wh, anchors.shapes)
    while warmup.active:
        loss = warmup.loss(anchors((256, 256)), batch(int(warmup.step)))
        adam.zero_grad()
        loss.backward()
        adam.step()
        warmup.advance()
    assert mean_best_iou(wh, anchors.shapes) > before + 0.3


def test_empty_batches_give_no_nan():
    empty = Targets.from_list([{"boxes": torch.zeros(0, 4)}] * 2)
    anchors = LearnedShapes([Level(stride=32, shapes=STARTS["uniform"])])
    loss = GradientWarmup(steps=4).loss(anchors((64, 96)), empty)
    loss.backward()
    assert loss == 0
    assert not anchors.log_shapes.grad.any()


def test_where_classes_count_the_same_a_rare_one_has_a_shape_of_its_own():
    """One object of 20 is small, and of a class of its own; two shapes share out the others."""
    ends = {}
    for num_classes in (None, 4):
        anchors = LearnedShapes([Level(stride=32, shapes=STARTS["identical"][:2])])
        warmup = AnnealedWarmup(steps=60, num_shapes=2, num_classes=num_classes)
        random = torch.Generator().manual_seed(0)
        for _ in range(60):
            side = torch.tensor([[40.0, 90]] * 10 + [[90.0, 40]] * 9 + [[14.0, 12]])
            side = side * (1 + 0.1 * torch.randn(20, 2, generator=random))
            corner = torch.rand(20, 2, generator=random) * 100
            label = torch.tensor([3] * 19 + [1])
            rows = [{"boxes": torch.cat([corner, corner + side], 1), "labels": label}]
            warmup.update(anchors, Targets.from_list(rows))
        ends[num_classes] = anchors.shapes
    assert ends[None].amin() > 25  # by objects the two tall and wide ones take both
    assert torch.allclose(ends[4][0], torch.tensor([14.0, 12]), rtol=0.1)


def test_the_weights_of_classes_are_those_of_all_objects_so_far():
    warmup = AnnealedWarmup(steps=9, num_shapes=1, num_classes=3)
    assert torch.allclose(
        warmup._weights(torch.tensor([0, 0, 0, 2])), torch.tensor([2 / 3] * 3 + [2])
    )
    # now four and four of eight
    assert warmup._weights(torch.tensor([2, 2, 2, 0])).tolist() == [1, 1, 1, 1]
    assert AnnealedWarmup(steps=9, num_shapes=1)._weights(torch.tensor([5, 9])).tolist() == [1, 1]
