"""The doctor and ``kedge assign`` over shards: nothing depends on the order, one that fails is
named."""

import json
import random
import shutil
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.cli import run
from kedge.data import toy
from kedge.doctor.assigned_shards import added, assign_shard
from kedge.doctor.chosen import Chosen
from kedge.doctor.finding import SEVERITIES, Finding
from kedge.doctor.over_shards import Looked, look, merged
from kedge.shards import over_shards, shards_of


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Three small data sets, the second with boxes that cannot be right, and a broken file."""
    folder = tmp_path_factory.mktemp("shards")
    for number in range(3):
        toy.write(folder / f"s{number}", train=4 + number, val=1, size=(64, 96))
    path = folder / "s1" / "train.json"
    values = json.loads(path.read_text())
    for box in values["annotations"][:3]:
        box["bbox"][2] = 0
    path.write_text(json.dumps(values))
    (folder / "broken.json").write_text("{")
    return folder


counts = st.integers(0, 9)
evidence = st.fixed_dictionaries(
    {
        "boxes": counts,
        "worst_images": st.lists(st.fixed_dictionaries({"image": st.text("ab"), "n": counts})),
    }
)
findings = st.lists(
    st.builds(
        Finding,
        check=st.sampled_from(["a", "b", "c"]),
        severity=st.sampled_from(SEVERITIES),
        symptom=st.text("xy"),
        evidence=evidence,
    ),
    max_size=4,
)


@settings(max_examples=60)
@given(st.data())
def test_no_order_of_shards_changes_what_is_found(data):
    looked = {
        f"s{number}": Looked(findings=tuple(found), images=1, objects=2)
        for number, found in enumerate(data.draw(st.lists(findings, max_size=5)))
    }
    whole = merged(looked)
    assert (
        merged({name: looked[name] for name in data.draw(st.permutations(list(looked)))}) == whole
    )
    for finding in whole:
        own = [f for shard in looked.values() for f in shard.findings if f.check == finding.check]
        assert finding.counts["boxes"] == sum(f.evidence["boxes"] for f in own)
        every = [row["n"] for f in own for row in f.evidence["worst_images"]]
        assert [row["n"] for row in finding.worst_images] == sorted(every, reverse=True)[:5]
        assert finding.severity == min((f.severity for f in own), key=SEVERITIES.index)


numbers = st.builds(
    Chosen,
    images=counts,
    counts=st.fixed_dictionaries(
        dict.fromkeys(("objects", "positives", "without", "ignored", "shared"), counts)
    ),
    levels=st.tuples(counts, counts),
    worst=st.lists(st.tuples(counts, st.text("ab")), max_size=5).map(
        lambda rows: tuple(sorted(rows, key=lambda row: (-row[0], row[1])))
    ),
    seconds=st.just(0.0),
)


@settings(max_examples=60)
@given(numbers, numbers, numbers)
def test_what_is_chosen_adds_up_in_any_order_and_grouping(one, two, three):
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one


def backwards(names, count):
    """Who is done with the last first, as a cluster may be."""
    order = list(names)
    random.Random(3).shuffle(order)
    for name in order:
        try:
            yield name, count(name)
        except ValueError as problem:
            yield name, problem


def test_shards_in_any_order_give_the_same_bits_and_a_broken_one_is_named(shards):
    names = shards_of(str(shards / "*"))
    here = over_shards(names, look)
    there = over_shards(names, look, backwards)
    assert here == there
    assert list(here[0]) == [str(shards / f"s{number}") for number in range(3)]
    assert list(here[1]) == [str(shards / "broken.json")]
    [bad] = [finding for finding in merged(here[0]) if finding.check == "zero_area_boxes"]
    assert (bad.shards, bad.counts["boxes"]) == ((str(shards / "s1"),), 3)
    assert {row["shard"] for row in bad.worst_images} == {str(shards / "s1")}


def test_what_is_said_of_all_shards_is_counted_not_looked_at(tmp_path, capsys):
    """Two of three images and one of two are empty: three in all, of five that were looked at."""
    for name, images, filled in (("a", 3, 1), ("b", 2, 1)):
        part = toy.write(tmp_path / name, train=images, val=1, size=(64, 96))
        values = json.loads((part / "train.json").read_text())
        kept = [image["id"] for image in values["images"]][:filled]
        values["annotations"] = [a for a in values["annotations"] if a["image_id"] in kept]
        (part / "train.json").write_text(json.dumps(values))
    assert run(["doctor", str(tmp_path / "*"), "--on", "stream"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "2 shards: 5 images" in shown
    assert "counted 3 images without objects" in shown
    assert f"seen {tmp_path / 'a'}: 2 images (67 %) without objects" in shown


def test_what_is_chosen_in_parts_is_what_is_chosen_in_the_whole(shards, tmp_path):
    """Two shards of four images, and both in one folder."""
    how = {
        "strategies": ["max_iou", "atss", "tal"], "detector": "retinanet", "anchors": None,
        "image_size": (64, 96), "batch_size": 3,
    }  # fmt: skip
    one = toy.write(tmp_path / "one", train=4, val=1, size=(64, 96))
    for name, keep in (("a", slice(0, 2)), ("b", slice(2, 4))):
        part = shutil.copytree(one, tmp_path / name)
        values = json.loads((part / "train.json").read_text())
        values["images"] = values["images"][keep]
        kept = {image["id"] for image in values["images"]}
        values["annotations"] = [a for a in values["annotations"] if a["image_id"] in kept]
        (part / "train.json").write_text(json.dumps(values))
    whole = assign_shard(str(one), **how)
    parts = {name: assign_shard(str(tmp_path / name), **how) for name in ("b", "a")}
    total = added(parts)
    assert (total.images, total.objects) == (whole.images, whole.objects)
    assert "needs predictions" in total.chosen["tal"]
    for name in ("max_iou", "atss"):
        assert total.chosen[name].counts == whole.chosen[name].counts
        assert total.chosen[name].levels == whole.chosen[name].levels
        numbers = [number for number, _ in total.chosen[name].worst]
        assert numbers == [number for number, _ in whole.chosen[name].worst]


def test_the_commands_over_shards(shards, tmp_path, capsys):
    out = tmp_path / "out.json"
    words = [str(shards / "s*"), "toy", "--on", "stream", "--json", str(out)]
    assert run(["doctor", *words]) == 0
    shown = capsys.readouterr().out
    assert "zero_area_boxes" in shown
    assert "4 shards: " in shown
    found = json.loads(out.read_text())
    assert set(found["shards"]) == {*(str(shards / f"s{n}") for n in range(3)), "toy"}
    assert run(["doctor", *words, "--strict"]) == 1
    words = [str(shards / "*"), "--on", "stream", "--json", str(out)]
    assert run(["doctor", *words]) == 1
    assert f"not looked at: {shards / 'broken.json'}: is not JSON" in capsys.readouterr().err
    assert run(["assign", *words, "--image-size", "64", "96", "--strategy", "atss,tal"]) == 1
    shown = capsys.readouterr()
    assert "3 shards, 15 images" in shown.out
    assert "tal: TAL needs predictions" in shown.out
    found = json.loads(out.read_text())
    positives = sum(shard["positives"]["atss"] for shard in found["shards"].values())
    assert found["rows"][0]["positives"] == positives > 0
    assert list(found["failed"]) == [str(shards / "broken.json")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["doctor", "a", "b"], "a, b: several sources go with --on stream or --on ray"),
        (["doctor", "--on", "stream"], "say which shards to look at"),
        (["doctor", "toy", "--address", "auto"], "--address goes with --on ray"),
        (["doctor", "toy", "--on", "stream", "--run", "r"], "--run: not with --on"),
        (["assign", "toy", "--on", "stream", "--cache", "c"], "--cache: not with --on"),
        (["assign", "toy", "--on", "stream", "--strategy", "nearest"], "no strategy 'nearest'"),
        (["assign"], "say which data set to look at"),
        (["doctor", "nothing*", "--on", "stream"], "nothing*: no such file or folder"),
    ],
)
def test_what_does_not_go_together_is_one_line(words, said, capsys):
    assert run(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["doctor", "assign"])
def test_without_ray_they_say_what_to_install(command, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run([command, "toy", "--on", "ray"]) == 2
    assert "--on ray needs Ray: pip install 'kedge[ray]'" in capsys.readouterr().err
