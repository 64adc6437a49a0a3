"""Files that nobody vouches for: every damage is one ValueError that names the file."""

import codecs
import os
import zipfile

import numpy as np
import pytest

from kedge.parse import (
    flag,
    number,
    read_bytes,
    read_json,
    read_json_lines,
    read_lines,
    read_npz,
    read_text,
    read_xml,
    read_yaml,
    shown,
    whole,
)
from kedge.parse.boxes_table import read_boxes_table
from kedge.parse.table_file import read_table

TEXT = "0 .5 .5\r\nä 1\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        TEXT.encode("utf-16-le"),  # no mark
        TEXT.encode("utf-16-be"),
    ],
)
def test_text_in_any_of_the_unicode_encodings(tmp_path, content):
    file = tmp_path / "a.txt"
    file.write_bytes(content)
    assert read_text(file) == TEXT
    assert read_lines(file) == ["0 .5 .5", "ä 1", ""]


def test_lines_end_where_files_end_them_and_nowhere_else(tmp_path):
    (tmp_path / "a.txt").write_bytes("a\x0bb\u2028c\rd".encode())
    assert read_lines(tmp_path / "a.txt") == ["a\x0bb\u2028c", "d"]


def test_what_is_no_text_is_named_with_its_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\ntw\xff")
    with pytest.raises(ValueError, match=r"a\.txt: line 2 is not UTF-8"):
        read_text(tmp_path / "a.txt")


def test_pipes_folders_and_missing_files_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("pipe", "no regular file"),
        (".", "no regular file"),
        ("x", "cannot be"),
    ):
        with pytest.raises(ValueError, match=message):
            read_bytes(tmp_path / name)


def test_what_a_terminal_would_obey_is_shown():
    assert shown("plain é 漢") == "plain é 漢"
    assert shown("\x1b[31m\u202e\x07a\n") == "\\x1b[31m\\u202e\\x07a\\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(12, 12), (12.0, 12), ("12", 12), ("000012", 12), (" 12 ", 12), ("12.0", 12), (-3, -3),
     (2**63 - 1, 2**63 - 1), ("9007199254740993", 2**53 + 1),
     (12.5, None), ("x", None), (None, None), (True, None), (2**63, None), (float("inf"), None),
     (float("nan"), None), ("1_0", None), ("--5", None), ([], None), ("9" * 400, None)],
)  # fmt: skip
def test_whole_numbers_as_people_type_them(value, expected):
    assert whole(value) == expected


def test_numbers_and_flags():
    assert [number(v) for v in (1, "1.5", " 2 ", 10**400)] == [1, 1.5, 2, float("inf")]
    assert [number(v) for v in (None, True, "1_0", "x", [], "")] == [None] * 6
    assert [flag(v) for v in (None, 0, "0", False, "false", "")] == [False] * 6
    assert [flag(v) for v in (1, "1", True, "true", 1.0)] == [True] * 5
    assert [flag(v) for v in (2, "x", [], 0.5)] == [None] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "is nested too deeply"),
        ('{"a": ' * 100_000, "is nested too deeply"),
        ("{", "is not JSON"),
        ("[" + "9" * 5000 + "]", "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_json_that_is_none(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.json: {message}"):
        read_json(tmp_path / "a.json")


def test_json_lines_name_the_line(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": NaN}\n\n[1]\n')
    assert [line for line, _ in read_json_lines(tmp_path / "a.jsonl")] == [1, 3]
    (tmp_path / "a.jsonl").write_text('{"a": 1}\nno\n')
    with pytest.raises(ValueError, match=r"a\.jsonl: line 2: is not JSON"):
        read_json_lines(tmp_path / "a.jsonl")


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 12))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases"),
        (BOMB.replace("[", "{k: [").replace("]", "]}") + "z: {<<: *a11}\n", "aliases"),
        ("a: &a [*a]", "aliases"),  # it holds itself
        ("[" * 1000, "nested deeper"),
        ("- " * 1000, "nested deeper"),
        ("a: [", "is not YAML"),
        ("a: !!python/object:os.system x", "is not YAML"),
        ("a: \x00", "is not YAML"),
        ("a: 2024-13-01", "cannot read"),  # month 13
        ("a: !!int x", "cannot read"),
        ("a: !!timestamp x", "cannot read"),
        ("a: " + "9" * 5000, "cannot read"),
    ],
)
def test_yaml_and_its_traps(tmp_path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.yaml: .*{message}") as error:
        read_yaml(tmp_path / "a.yaml")
    assert "\n" not in str(error.value)


def test_yaml_aliases_that_are_modest_are_fine(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &x [1, 2]\nb: *x\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    "text",
    ['<?xml version="1.0" encoding="rot13"?><a/>', '<?xml version="1.0" encoding="gb2312"?><a/>',
     "<a>", "", "no", '<?xml version="1.0" encoding="nothing"?><a/>'],
)  # fmt: skip
def test_xml_that_is_none(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(ValueError, match=r"a\.xml: is not XML"):
        read_xml(tmp_path / "a.xml")


def _npz(file, **arrays):
    np.savez_compressed(file, **arrays)
    return file


def test_an_archive_that_would_grow_without_end_is_not_unpacked(tmp_path):
    file = _npz(tmp_path / "a.npz", x=np.zeros(2**26))
    with pytest.raises(ValueError, match=r"a\.npz.* would grow to 537 MB"):
        read_npz(file, ["x"])
    assert read_npz(file, ["y"]) == {}  # what is not wanted is not looked at


def test_a_header_that_says_more_than_there_is(tmp_path):
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (%s,), }"
    for shape, message in ((b"99999999999999", "more than it holds"), (b"-3", "shape")):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("x.npy", (header % shape).ljust(127) + b"\n" + b"\0" * 80)
        with pytest.raises(ValueError, match=rf"a\.npz.*{message}"):
            read_npz(tmp_path / "a.npz", ["x"])


@pytest.mark.parametrize("damage", ["cut", "bit", "text", "object", "empty"])
def test_archives_that_are_damaged(tmp_path, damage):
    file = tmp_path / "a.npz"
    np.savez(file, x=np.arange(9.0) if damage != "object" else np.array([{}], object))
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "bit":
        content[len(content) // 2] ^= 4
    elif damage in ("text", "empty"):
        content = bytearray(b"words" if damage == "text" else b"")
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz: cannot be read"):
        read_npz(file, ["x"])


def test_tables_of_any_punctuation(tmp_path):
    for text in ("a,b\n1.5,x\n", "a;b\n1,5;x\n", "a\tb\n1.5\tx\n", '"a","b"\r\n1.5,"x"\r\n'):
        (tmp_path / "t.csv").write_bytes(text.encode())
        table = read_table(tmp_path / "t.csv")
        assert (table.numbers("a").tolist(), list(table.columns["b"])) == ([1.5], ["x"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", "row 3: has 3 columns, expected 2"),
        ("a,a\n1,2\n", "two columns 'a'"),
        ("", "is empty"),
        ("a,b\n1,x\n", "row 2, column b: 'x' is no number"),
        ("a,b\n1," + '"' + "9" * 200_000 + "\n", "is not CSV"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_row_and_column(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"t\.csv: .*{message}"):
        read_table(tmp_path / "t.csv").numbers("b")


def test_shares_are_recognised_and_pixels_are_left_alone(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("image_id,x,y,w,h,width,height\na,.25,.5,.5,.25,40,20\n")
    table = read_boxes_table(file)
    assert (table.shares, table.xyxy.tolist()) == (True, [[10, 10, 30, 15]])
    file.write_text("image_id,x,y,w,h,width,height\na,.25,.5,1.5,.25,40,20\n")
    assert not read_boxes_table(file).shares
    file.write_text("image_id,x,y,w,h,width,height\na,0,0,1,1,1,1\n")  # an image of one pixel
    assert not read_boxes_table(file).shares


def test_true_and_numbers_with_underscores_are_no_coordinates(tmp_path):
    for value in ("true", '"1_0"', "[1]", '"x"'):
        (tmp_path / "t.jsonl").write_text(f'{{"a": 1}}\n{{"a": {value}}}\n')
        with pytest.raises(ValueError, match="row 2, column a"):
            read_table(tmp_path / "t.jsonl").numbers("a")
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"a": null}\n{"a": "2.5"}\n')
    values = read_table(tmp_path / "t.jsonl").numbers("a")
    assert np.array_equal(values, [1, np.nan, 2.5], equal_nan=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("boxes.CSV", "image_id,x,y,w,h\na,1,2,3,4\n"),
        ("boxes.TSV", "image_id\tx\ty\tw\th\na\t1\t2\t3\t4\n"),
        ("boxes.Jsonl", '{"image_id": "a", "x": 1, "y": 2, "w": 3, "h": 4}'),
        ("bare.CSV", "a.jpg,1,2,4,6,dog\n"),  # keras-retinanet's: no names
    ],
)
def test_an_ending_is_known_in_any_case(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_boxes_table(tmp_path / name).xyxy.tolist() == [[1, 2, 4, 6]]
