"""One is no plural, in whatever is printed."""

import ast
import json
import re
from pathlib import Path

import pytest
from fuzz.sets import SETS

from kedge.cli import run
from kedge.counted import count

PACKAGE = Path(__file__).parent.parent / "kedge"
ROOMS = (
    "data", "design", "doctor", "train", "evaluate", "report", "predict", "pages", "commands",
)  # fmt: skip
PLURALS = re.compile(
    r" (?:(?!has|if|of)[a-z]+ )?(?:images|boxes|objects|classes|steps|epochs|detections|problems"
    r"|shapes|splits|rows|pairs|positives|proposals|predictions|targets)\b(?!:)|.*\(s\)"
)
NEVER_ONE = {  # lists that are compared, shared out or sampled
    "len(names)", "total", "number[high]", "len(data)", "int(number.max())", "m.aat", "row",
    "len(share)", "_COCO", "_FEW", "_MOST_CLASSES", "positives[short].mean()",
}  # fmt: skip


def test_a_number_with_its_word():
    assert [count(n, "box", "boxes") for n in (0, 1, 2345)] == ["0 boxes", "1 box", "2,345 boxes"]
    assert [count(n, "image") for n in (1, 2)] == ["1 image", "2 images"]


@pytest.mark.parametrize("room", ROOMS)
def test_no_number_stands_before_a_plural_of_its_own(room):
    """What may be one is said with ``count``; a share ("3 % of the boxes") is none."""
    for path in (PACKAGE / room).rglob("*.py"):
        texts = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.JoinedStr))
        for part, after in ((a, b) for t in texts for a, b in zip(t.values, t.values[1:])):
            if not isinstance(part, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            said = ast.unparse(part.value)
            if said.startswith(("percent(", "count(")) or said in NEVER_ONE:
                continue
            assert not PLURALS.match(str(after.value)), f"{path}: {{{said}}}{after.value!r}"


@pytest.fixture
def one(tmp_path):
    """A data set of one image, one class and one box, and one box that is refused."""
    SETS["coco"](tmp_path)
    file = tmp_path / "train.json"
    page = json.loads(file.read_text())
    page["images"] = page["images"][:1]
    page["categories"] = page["categories"][:1]
    first = page["annotations"][0]
    page["annotations"] = [first, first | {"id": 99, "bbox": [1, 1, 0, 5]}]
    file.write_text(json.dumps(page))
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "data {}",
        "doctor --data {} --detector retinanet --verbose",
        "design {} --k 1",
        "assign --data {}",
        "train --data {} --on-bad-box drop --epochs 1 --image-size 64 --out {}/run",
    ],
)
def test_what_is_said_of_one_of_each(command, one, capsys):
    assert run(command.format(one, one).split()) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert [
        part[:60] for part in re.split(r"(?<![\d.,x-])1(?= )", said) if PLURALS.match(part)
    ] == []
