"""Kedge inside Ultralytics: equal losses and gradients, its own trainer, and out again.

Ultralytics is AGPL-3.0: it is called here, never shipped.
"""

import copy
import io
import warnings

import pytest
import torch
from parity import real
from parity.cases import needs, peers

from kedge import ATSS, FreeAnchor, SimOTA, SoftCell
from kedge.interop.ultralytics import accelerate, assigner, callbacks, explain

pytestmark = needs("Ultralytics")
MODELS = ("yolov8n.yaml", "yolo11n.yaml", "yolo12n.yaml", "yolo26n.yaml")


@pytest.fixture
def always(monkeypatch):
    """No batch is small enough for Ultralytics' own assigner."""
    monkeypatch.setattr(assigner.SparseAssigner, "table", -1)


def model(name: str, seed: int = 0):
    peers.ultralytics()
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(seed)
    made = DetectionModel(name, nc=80, verbose=False)
    made.args = get_cfg()
    return made.train()


def as_batch(pixels, targets):
    """Ultralytics' batch: boxes as shares of the image, centre and size."""
    height, width = pixels.shape[2:]
    size = torch.tensor([width, height, width, height])
    index = [torch.full((len(t["boxes"]),), float(i)) for i, t in enumerate(targets)]
    corners = torch.cat([t["boxes"] for t in targets]) / size
    boxes = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
    labels = torch.cat([t["labels"] for t in targets]).float()
    return {"img": pixels, "batch_idx": torch.cat(index), "cls": labels, "bboxes": boxes}


def random_batch(seed: int, counts=(30, 0, 7), size=(160, 256), above: float = 24.0):
    """No object holds the map's first row, from which the peer's ``topk`` fills up."""
    rng = torch.Generator().manual_seed(seed)
    targets = []
    for count in counts:
        side = 2 * 30 ** torch.rand(count, 2, generator=rng)
        corner = torch.rand(count, 2, generator=rng) * torch.tensor([size[1], size[0]])
        boxes = torch.cat([corner, corner + side], 1) + torch.tensor([0, above, 0, above])
        labels = torch.randint(0, 80, (count,), generator=rng)
        targets.append({"boxes": boxes, "labels": labels})
    return as_batch(torch.rand(len(counts), 3, *size, generator=rng), targets)


def steps(given, batches) -> list:
    """Loss curve and all weights after some steps of training."""
    optimiser = torch.optim.SGD(given.parameters(), lr=1e-3)
    curve = []
    for batch in batches:
        optimiser.zero_grad()
        loss, _ = given(dict(batch))
        loss.sum().backward()
        optimiser.step()
        curve.append(loss.detach().sum())
    return [torch.stack(curve), *(v.clone() for v in given.state_dict().values())]


def assert_equal(found, wanted) -> None:
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_losses_and_weights_stay_equal_bit_for_bit(name, always):
    batches = [random_batch(seed) for seed in range(2)]
    wanted = steps(model(name), batches)
    given = model(name)
    accelerate(given)
    assert_equal(steps(given, batches), wanted)


@pytest.mark.parametrize("data", real.NAMES)
@pytest.mark.parametrize("name", ["yolo11n.yaml", "yolo26n.yaml"])
def test_real_images(name, data, always, shared_data):
    batches = [as_batch(*real.batch(shared_data, data, (160, 256), images=2))] * 2
    wanted = steps(model(name), batches)
    given = model(name)
    accelerate(given)
    assert_equal(steps(given, batches), wanted)


def test_what_fills_up_with_alignment_zero_is_counted(always):
    """On a map of few points ``topk`` takes any of those; the losses then differ in some steps."""
    batches = [random_batch(seed, size=(96, 128), above=0.0) for seed in range(4)]
    wanted = steps(model("yolo11n.yaml"), batches)
    given = model("yolo11n.yaml")
    accelerate(given)
    found = steps(given, batches)
    print(f"{int((found[0] == wanted[0]).sum())} of 4 losses bit-equal")
    torch.testing.assert_close(found[0], wanted[0], rtol=0.02, atol=0)


def test_no_table_is_made(always, monkeypatch):
    given = model("yolo26n.yaml")
    accelerate(given)
    from ultralytics.utils.tal import TaskAlignedAssigner

    monkeypatch.setattr(TaskAlignedAssigner, "_forward", None)
    steps(given, [random_batch(0), random_batch(1, counts=(0, 0))])


def test_a_small_batch_is_left_to_ultralytics(monkeypatch):
    given = model("yolo11n.yaml")
    accelerate(given)
    monkeypatch.setattr(assigner.SparseAssigner, "_aligned", None)
    steps(given, [random_batch(0, counts=(4, 2))])


@pytest.mark.parametrize("name", ["yolo11n.yaml", "yolo26n.yaml"])
def test_undo_is_exact(name):
    given = model(name)
    undo = accelerate(given)
    assert "Kedge assigns for Ultralytics'" in repr(undo)
    undo()
    assert "criterion" not in vars(given)
    given.criterion = given.init_criterion()
    parts = [getattr(given.criterion, n, given.criterion) for n in ("one2many", "one2one")]
    before = [part.assigner for part in parts]
    with accelerate(given):
        assert all(part.assigner is not old for part, old in zip(parts, before))
    assert all(part.assigner is old for part, old in zip(parts, before))


def test_copies_work_and_files_hold_ultralytics_own_assigner(always):
    given = model("yolo26n.yaml")
    accelerate(given)
    batches = [random_batch(0)]
    other = copy.deepcopy(given)
    assert other.criterion.one2many.assigner.peer is not given.criterion.one2many.assigner.peer
    wanted = steps(model("yolo26n.yaml"), batches)
    assert_equal(steps(other, batches), wanted)
    file = io.BytesIO()
    torch.save(given.criterion.one2many.assigner, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert type(loaded).__name__ == "TaskAlignedAssigner"
    assert b"kedge" not in file.getvalue()


def test_autocast(always):
    batches = [random_batch(0)]
    with torch.autocast("cpu", torch.bfloat16):
        wanted = steps(model("yolo11n.yaml"), batches)
        given = model("yolo11n.yaml")
        accelerate(given)
        assert_equal(steps(given, batches), wanted)


# -- refusals --------------------------------------------------------------------------------------


def test_refusals_name_what_is_refused(monkeypatch):
    peers.ultralytics()
    import ultralytics
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import OBBModel, PoseModel

    obb = OBBModel("yolo11n-obb.yaml", nc=3, verbose=False)
    obb.args = get_cfg()
    with pytest.raises(ValueError, match="RotatedTaskAlignedAssigner is not known"):
        accelerate(obb)
    pose = PoseModel("yolo26n-pose.yaml", nc=1, data_kpt_shape=(17, 3), verbose=False)
    pose.args = get_cfg()
    with pytest.raises(ValueError, match="PoseTaskAlignedAssigner is not known"):
        accelerate(pose)
    given = model("yolo11n.yaml")
    accelerate(given)
    with pytest.raises(ValueError, match="replaced already"):
        accelerate(given)
    with pytest.raises(ValueError, match="Linear holds no model of Ultralytics"):
        accelerate(torch.nn.Linear(1, 1))
    monkeypatch.setattr(ultralytics, "__version__", "8.5.1")
    fresh = model("yolo11n.yaml")
    with pytest.raises(ValueError, match=r"Ultralytics 8\.5\.1 is not known here"):
        accelerate(fresh)
    assert "criterion" not in vars(fresh)


def test_points_of_other_cells_are_left_to_ultralytics(always):
    given = model("yolo11n.yaml")
    wanted = steps(model("yolo11n.yaml"), [random_batch(0)])
    accelerate(given)
    given.criterion.assigner.peer.stride = [8, 16, 48]
    given.criterion.assigner.peer.stride_val = 16
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert_equal(steps(given, [random_batch(0)]), wanted)
    assert any("own assigner takes this batch" in str(w.message) for w in said)


# -- other strategies ------------------------------------------------------------------------------


def test_other_strategies():
    for rule in (ATSS(), SimOTA()):
        given = model("yolo26n.yaml")
        accelerate(given, strategy=rule)
        found = steps(given, [random_batch(0)])
        assert torch.isfinite(found[0]).all()
    refused = ((FreeAnchor(), "losses of its own"), (SoftCell(), "weights of its pairs"))
    for rule, what in refused:
        given = model("yolo11n.yaml")
        accelerate(given, strategy=rule)
        with pytest.raises(ValueError, match=f"{type(rule).__name__} gives .*{what}"):
            steps(given, [random_batch(0)])


def test_the_report_of_a_batch(shared_data):
    pixels, targets = real.batch(shared_data, "bccd", (96, 128))
    for name in ("yolo11n.yaml", "yolo26n.yaml"):
        given = model(name)
        before = {key: value.clone() for key, value in given.state_dict().items()}
        found = explain(given, pixels, targets)
        assert found.report.objects == sum(len(t["boxes"]) for t in targets)
        assert found.report.positives > 0
        assert str(found).startswith("TAL")
        assert found.picture(0).size[0] > 0
        assert explain(given, pixels, targets, strategy=ATSS()).rule == ATSS()
        assert all(torch.equal(before[key], value) for key, value in given.state_dict().items())
        assert given.training
        assert "criterion" not in vars(given)


# -- its own trainer -------------------------------------------------------------------------------


def yolo_folder(batch, folder) -> None:
    """A data set in YOLO's layout, train and val alike."""
    from PIL import Image

    pixels, targets = batch
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for i, (image, target) in enumerate(zip(pixels, targets)):
            array = (255 * image).byte().permute(1, 2, 0).numpy()
            Image.fromarray(array).save(folder / "images" / split / f"{i}.png")
            rows = as_batch(image[None], [target])
            text = [
                f"{int(c)} " + " ".join(f"{float(v):.6f}" for v in b)
                for c, b in zip(rows["cls"], rows["bboxes"])
            ]
            (folder / "labels" / split / f"{i}.txt").write_text("\n".join(text))
    (folder / "data.yaml").write_text(
        f"path: {folder}\ntrain: images/train\nval: images/val\nnames: [a, b, c]\n"
    )


def test_its_own_trainer(always, shared_data, tmp_path, monkeypatch):
    peers.ultralytics()
    from ultralytics import YOLO

    monkeypatch.chdir(tmp_path)
    yolo_folder(real.batch(shared_data, "bccd", (64, 96)), tmp_path)
    calls = []
    forward = assigner.SparseAssigner._aligned
    monkeypatch.setattr(
        assigner.SparseAssigner, "_aligned",
        lambda self, *given: calls.append(1) or forward(self, *given),
    )  # fmt: skip
    results = []
    for ours in (False, True):
        yolo = YOLO("yolo11n.yaml")
        if ours:
            for event, function in callbacks().items():
                yolo.add_callback(event, function)
        yolo.train(
            data="data.yaml", epochs=2, imgsz=96, batch=2, workers=0, device="cpu", seed=0,
            plots=False, verbose=False, project=str(tmp_path / "runs"), name=f"ours{ours}",
            amp=False, cache=False,
        )  # fmt: skip
        folder = tmp_path / "runs" / f"ours{ours}"
        rows = [r.split(",") for r in (folder / "results.csv").read_text().splitlines()]
        clock = [i for i, head in enumerate(rows[0]) if "time" in head]
        results.append([[v for i, v in enumerate(row) if i not in clock] for row in rows])
        assert b"kedge" not in (folder / "weights" / "last.pt").read_bytes()
        assert bool(calls) is ours
    assert results[0] == results[1]


def test_the_recipe_of_the_documents(shared_data, tmp_path, monkeypatch, capsys):
    from test_docs import INSIDE, blocks

    yolo_folder(real.batch(shared_data, "bccd", (64, 96)), tmp_path)
    monkeypatch.chdir(tmp_path)
    peers.ultralytics()
    # under pytest Ultralytics writes beside its own package, unless told where that is
    monkeypatch.setattr("ultralytics.cfg.ROOT", tmp_path / "package")
    (recipe,) = (code for code in blocks(INSIDE) if "ultralytics" in code)
    exec(compile(recipe, "<block>", "exec"), {})
    assert "Kedge assigns for Ultralytics'" in capsys.readouterr().out
