"""The shared folder of inputs that went wrong: each is right now. Tests of the kinds stand in the
other files; these are the inputs themselves."""

import os
import resource
import time
from pathlib import Path

import pytest

from kedge.cli import run
from kedge.data import read, said
from kedge.design.table import read_table

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def cases() -> Path:
    """$KEDGE_CASES, or ../shared/cases beside the repository."""
    folder = Path(os.environ.get("KEDGE_CASES", REPOSITORY.parent / "shared" / "cases"))
    if not folder.is_dir():
        pytest.skip(f"no cases: {folder} does not exist (set KEDGE_CASES to the folder)")
    return folder


def test_the_folder_of_cases_is_there_or_says_that_it_is_not(cases):
    assert any(cases.iterdir())


@pytest.mark.parametrize(
    ("case", "images", "boxes", "kinds"),
    [
        ("01-label-studio/a_backslash/result.json", 4, 16, {"file found under another name"}),
        ("01-label-studio/b_project_id/result.json", 4, 16, {"file found under another name"}),
        ("03-cvat-rotation", 4, 8, {"rotation"}),
        ("03-cvat-rotation/five_numbers", 4, 0, {"rotated box"}),
        ("05-yolo-rows/bom", 3, 12, set()),
        ("05-yolo-rows/conf_track", 3, 12, {"scores in labels"}),
        ("05-yolo-rows/commas", 3, 0, {"no box"}),
        ("06-voc-layouts/a_beside", 4, 16, set()),
        ("06-voc-layouts/c_lowercase", 4, 16, set()),
        ("06-voc-layouts/e_spaces", 4, 16, set()),
        ("08-image-kinds", 16, 32, {"pixel range", "frames after the first"}),
        ("09-huge-image", 2, 600, set()),
        ("10-coco-typing/case", 3, 9, {"file found under another name"}),
        ("10-coco-typing/nfd", 3, 9, {"file found under another name"}),
        ("10-coco-typing/iscrowd_null", 3, 9, set()),
        ("10-coco-typing/string_image_ids", 3, 9, set()),
        ("10-coco-typing/float_ids", 3, 9, set()),
        ("12-exif", 8, 8, {"EXIF orientation not applied"}),
        ("13-tables/tf_object_detection.csv", 6, 30, {"no image files"}),
        ("13-tables/kedge_semicolon.csv", 6, 30, {"no image files"}),
        ("13-tables/kedge_normalised.csv", 6, 30, {"no image files", "coordinates as shares"}),
        ("14-others/darknet", 1, 4, {"file found under another name"}),
        ("14-others/kaggle_split", 1, 4, set()),
        ("18-crowd/ignore_field", 5, 15, {"ignored annotation"}),
        ("18-crowd/iscrowd_all", 5, 15, {"every box is a crowd region"}),
        ("20-splits-disagree", 3, 12, {"splits with other classes"}),
        ("21-yolo-yaml/yaml_txt_list_backslash", 2, 8, {"file found under another name"}),
        ("damaged/c_dupname", 1, 1, {"classes of one name"}),
    ],
)
def test_what_can_be_read_is_read_and_what_is_odd_is_said(cases, case, images, boxes, kinds):
    data = read(cases / case, on_bad_box="drop")
    assert (len(data), data.num_boxes) == (images, boxes)
    assert {finding.kind for finding in data.findings} == kinds
    assert len(said(data)) == len(kinds)


def test_all_turned_images_are_treated_alike(cases):
    """Each image is red where its box is, in stored pixels."""
    from kedge.data.images import decode

    for record in read(cases / "12-exif").records:
        x1, y1, x2, y2 = record.boxes[0].astype(int)
        red = decode(record)[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4].reshape(-1, 3).mean(0)
        assert red[0] > 150 > 100 > red[2], record.name


def test_images_of_every_kind_look_alike(cases):
    from kedge.data.images import decode

    means = {r.name: decode(r).mean() for r in read(cases / "08-image-kinds").records}
    wide = {name: means[name] for name in ("float32.tif", "int32.tif", "grey16.png", "grey16.tif")}
    assert max(wide.values()) - min(wide.values()) < 2
    assert abs(means["grey.png"] - wide["float32.tif"]) < 12, means


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("damaged/c_deep", "train.json: is nested too deeply"),
        ("damaged/c_inf", "its size is inf x 30"),
        ("damaged/c_bigint", "train.json: is not JSON"),
        ("damaged/c_long", "train.json: nothing is left"),
        ("03-cvat-rotation/five_numbers", "nothing is left of its boxes (8 rotated box)"),
        ("05-yolo-rows/commas", "(24 no box); the first: line 1 of 0.txt"),
        ("damaged/y_nc", "nc is 2000000000"),
        ("damaged/y_bomb", "aliases"),
        ("damaged/y_deep", "nested deeper"),
        ("damaged/v_enc", "0.xml"),
        ("damaged/v_inf", "0.xml"),
        ("damaged/n_crc/a.npz", "a.npz"),
        ("damaged/n_trunc/a.npz", "a.npz"),
        ("damaged/n_bomb/a.npz", "would grow to 2,147 MB"),
        ("damaged/n_neg/a.npz", "a.npz"),
        ("damaged/n_str/a.npz", "x holds <U1"),
        ("damaged/t_head/a.csv", "holds no rows"),
        ("damaged/t_rag/a.csv", "row 2: has 9 columns, expected 7"),
        ("damaged/t_str/a.csv", "row 2, column x: 'a' is no number"),
        ("13-tables/bad.jsonl", "line 2: is not JSON"),
    ],
)
def test_damage_is_one_line_in_no_time_and_little_memory(cases, capsys, case, message):
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run(["data", str(cases / case)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
    assert case.split("/")[0] in err
    assert time.perf_counter() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kilobytes


@pytest.mark.parametrize(
    "case", ["n_crc/a.npz", "n_trunc/a.npz", "n_bomb/a.npz", "n_str/a.npz", "t_head/a.csv",
             "t_rag/a.csv", "t_str/a.csv"]
)  # fmt: skip
def test_damaged_tables_are_one_line_for_design_too(cases, case):
    with pytest.raises(ValueError, match=case.split("/")[1].replace(".", r"\.")) as error:
        read_table(cases / "damaged" / case)
    assert "\n" not in str(error.value)


def test_tables_of_other_tools_give_the_same_design_table(cases):
    tables = {
        name: read_table(cases / "13-tables" / name)
        for name in ("tf_object_detection.csv", "kedge_semicolon.csv", "kedge_normalised.csv")
    }
    wh = [table.wh for table in tables.values()]
    assert all(abs(one - wh[0]).max() < 1e-3 for one in wh)
    assert tables["kedge_normalised.csv"].said
