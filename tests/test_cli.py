"""The command line, end to end on a handful of drawn images."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from kedge.cli import run
from kedge.data import read, toy
from kedge.predict.score import read_to_score

SIZE = ["--image-size", "64", "96"]


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("data") / "mini", train=8, val=4, size=(64, 96))


@pytest.fixture(scope="module")
def trained(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    words = ["train", "--data", str(mini), *SIZE, "--epochs", "2", "--batch-size", "4", "--quiet"]
    words += ["--anchors", "identical", "--learn-anchors", "--warmup-steps", "2"]
    assert run([*words, "--out", str(out)]) == 0
    return out


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command ends with."""
    assert run(list(words)) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("kedge: ")
    assert "\n" not in said
    return said


def test_train_prints_the_shapes_and_the_scores(trained, capsys):
    words = ["train", "--resume", "--out", str(trained), "--quiet"]
    assert run(words) == 0  # the run is finished: its result is printed again
    said = capsys.readouterr().out
    assert "after warm-up" in said
    assert "k-means" in said
    assert "80.0x80.0" in said
    assert "AP50" in said


def test_a_yaml_file_and_flags(mini, tmp_path, capsys):
    file = tmp_path / "c.yaml"
    file.write_text(
        f"data:\n  source: {mini}\n  image_size: [64, 96]\n"
        "model: {anchors: [[10, 20], [40, 40]]}\nschedule: {epochs: 9}\n"
    )
    out = tmp_path / "run"
    words = ["train", "--config", str(file), "--epochs", "1", "--out", str(out), "--quiet"]
    assert run(words) == 0
    assert json.loads((out / "run.json").read_text())["epochs"] == 1
    assert "10.0x20.0  40.0x40.0" in capsys.readouterr().out
    file.write_text("epochz: 9\n")
    said = fails(capsys, "train", "--config", str(file))
    assert f"{file}: unknown key 'epochz'; did you mean 'epochs'?" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train --lr -1", "settings: lr: input should be greater than 0"),
        ("train --data toy --warmup soon", "warmup: "),
        ("train --data toy --nope 1", "Unknown option"),
        ("train --data /nonesuch --out OUT", "/nonesuch: does not exist"),
        ("train --out OUT", "say what to train on"),
        ("evaluate /nonesuch", "no such run folder or weights file"),
        ("evaluate", "give either a run folder or --results"),
        ("evaluate --results r.json", "--results needs --data"),
        ("predict /nonesuch a.jpg", "no such run folder or weights file"),
        ("data /nonesuch", "does not exist"),
        ("nonesuch", "nonesuch"),
    ],
)
def test_mistakes_end_in_one_line(words, said, capsys, tmp_path):
    assert said in fails(capsys, *words.replace("OUT", str(tmp_path / "out")).split())


def test_debug_shows_where(tmp_path):
    with pytest.raises(ValueError, match="holds no run"):
        run(["evaluate", str(tmp_path), "--debug"])


def test_evaluate_writes_scores_and_results(trained, mini, tmp_path, capsys):
    scores, results = tmp_path / "s.json", tmp_path / "r.json"
    words = ["evaluate", str(trained), "--json", str(scores), "--save-results", str(results)]
    assert run(words) == 0
    said = json.loads(scores.read_text())
    assert said["split"] == "val"
    expected = json.loads((trained / "run.json").read_text())["scores"]
    assert said["scores"]["AP50"] == expected["AP50"]
    # the run's own results file, judged as anybody's, scores the same
    again = tmp_path / "again.json"
    words = ["evaluate", "--results", str(results), "--data", str(mini), "--json", str(again)]
    assert run(words) == 0
    assert json.loads(again.read_text())["scores"]["AP50"] == pytest.approx(expected["AP50"])


def perfect(mini: Path) -> list[dict]:
    data = read(mini, "val")
    rows = []
    for record in data.records:
        for (x1, y1, x2, y2), label, crowd in zip(
            record.boxes.tolist(), record.labels.tolist(), record.crowd.tolist()
        ):
            if not crowd:
                box = [x1, y1, x2 - x1, y2 - y1]
                row = {"image_id": record.image_id, "category_id": data.category_ids[label]}
                rows.append(row | {"bbox": box, "score": 0.9})
    return rows


def test_a_perfect_results_file_scores_one(mini, tmp_path, capsys):
    results, scores = tmp_path / "r.json", tmp_path / "s.json"
    rows = perfect(mini)
    results.write_text(json.dumps(rows))
    words = ["evaluate", "--results", str(results), "--data", str(mini), "--split", "val"]
    assert run([*words, "--json", str(scores)]) == 0
    found = json.loads(scores.read_text())["scores"]
    assert found["AP"] == pytest.approx(1)
    assert found["VOC"] == pytest.approx(1)
    assert "1.000" in capsys.readouterr().out
    results.write_text(json.dumps([rows[0] | {"image_id": 999}]))
    assert "entry 0: no image has the id 999" in fails(capsys, *words)
    results.write_text(json.dumps([rows[0] | {"category_id": 77}]))
    assert "entry 0: no category has the id 77" in fails(capsys, *words)
    results.write_text('[{"image_id": 1')
    assert str(results) in fails(capsys, *words)


def test_only_the_split_that_is_scored_on_is_read(mini, tmp_path, capsys):
    results, folder = tmp_path / "r.json", tmp_path / "set"
    results.write_text(json.dumps(perfect(mini)))
    shutil.copytree(mini, folder)
    (folder / "train.json").write_text('{"images": [')
    words = ["evaluate", "--results", str(results), "--data"]
    assert run([*words, str(folder), "--json", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["split"] == "val"
    assert "split that cannot be read" in capsys.readouterr().err
    assert run([*words, str(folder / "val.json")]) == 0
    assert read_to_score("toy", None).split == "val"


def test_predict_an_image_and_a_folder(trained, mini, tmp_path, capsys):
    images = sorted((mini / "images").iterdir())
    drawn, found = tmp_path / "out.png", tmp_path / "found.json"
    words = ["predict", str(trained), str(images[0]), "--save", str(drawn), "--json", str(found)]
    assert run([*words, "--min-score", "0"]) == 0
    with Image.open(drawn) as picture:
        picture.load()
    rows = json.loads(found.read_text())
    assert {row["image_id"] for row in rows} <= {1}
    assert all(set(row) == {"image_id", "category_id", "bbox", "score"} for row in rows)
    folder = tmp_path / "drawn"
    assert run(["predict", str(trained), str(mini / "images"), "--save", str(folder)]) == 0
    assert sorted(p.name for p in folder.iterdir()) == [p.name for p in images]
    assert "in 12 images" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.part"))


def test_predict_refuses_what_it_cannot_do(trained, mini, tmp_path, capsys):
    image = str(next((mini / "images").iterdir()))
    said = fails(capsys, "predict", str(trained), image, "--save", str(tmp_path / "out.nonesuch"))
    assert "no image format is called '.nonesuch'" in said
    assert list(tmp_path.iterdir()) == []
    said = fails(capsys, "predict", str(trained), image, "--save", image)
    assert "would overwrite the images" in said
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    assert f"{broken}: not an image" in fails(capsys, "predict", str(trained), str(broken))


def test_a_truncated_weights_file_is_named(trained, mini, tmp_path, capsys):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "config.yaml", "model.safetensors"):
        (copy / name).write_bytes((trained / name).read_bytes())
    (copy / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes()[:-9])
    assert "model.safetensors: truncated" in fails(capsys, "evaluate", str(copy))


def test_data_is_summed_up(mini, capsys):
    assert run(["data", str(mini)]) == 0
    said = capsys.readouterr().out
    assert "split train): 8 images" in said
    assert "split val): 4 images" in said
    assert "classes: bar, disc" in said


def test_help_and_version_need_nothing_heavy():
    """Asked in a fresh interpreter: no torch, no Lightning."""
    code = (
        "import sys; from kedge.cli import run\n"
        "assert run(['--help']) == 0 and run(['--version']) == 0\n"
        "heavy = {'torch', 'lightning', 'torchvision', 'plotly', 'polars'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout


def test_a_library_that_is_missing_is_named_in_one_line():
    """Also where cyclopts cannot import the command itself."""
    code = (
        "import sys; sys.modules['pydantic'] = None; from kedge.cli import run; "
        "sys.exit(run(['train', '--data', 'toy']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "kedge: pydantic is not installed; pip install 'kedge[all]' brings it\n"


def test_without_its_extras_the_command_says_which_it_needs():
    code = "import sys; sys.modules['cyclopts'] = None; from kedge.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("its command line is not; pip install 'kedge[all]' brings it\n")
