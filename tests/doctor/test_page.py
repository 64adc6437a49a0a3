"""The doctor's page: what to do, then figures, then the findings with pictures of the worst."""

import re
from dataclasses import replace

import numpy as np

from kedge.data import toy
from kedge.doctor import Context, examine
from kedge.doctor.setups import of_detector
from kedge.pages.doctor import write_page


def test_figures_stand_before_the_findings_which_show_their_worst_images(tmp_path):
    data = toy.data("train", images=12)
    context = Context(data=data, setup=of_detector("yolov2", (256, 320), "4x4,300x250"))
    findings = examine(context)
    page = write_page(tmp_path / "d.html", context, findings).read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles[0] == "Summary"  # one step at most: nothing to put in order
    assert titles[-1] == "Findings"
    assert titles.index("Coverage") < titles.index("Images") < titles.index("Findings")
    cards = re.findall(r'<article class="finding (\w+)">(.*?)</article>', page, re.S)
    assert len(cards) == len(findings)
    poorly = next(body for kind, body in cards if "have no anchor shape with IoU" in body)
    assert poorly.count('src="data:image') == 2
    shown = re.findall(r"<figcaption>(.*?): (\d+) of (\d+) covered", poorly)
    assert len(shown) == 2
    for name, covered, objects in shown:
        index = context.sample_names.index(name)
        mine = context.fair.image == index
        assert int(objects) == int(mine.sum())
        assert int(covered) == int((context.answers.aligned[mine] >= 0.5).sum())
    assert all("<img" not in body for kind, body in cards if kind == "note")


def test_boxes_as_annotated_where_a_finding_is_about_the_data(tmp_path):
    data = toy.data("train", images=6)
    twice = replace(
        data.records[0],
        boxes=np.repeat(data.records[0].boxes, 2, 0),
        labels=np.repeat(data.records[0].labels, 2),
        crowd=np.repeat(data.records[0].crowd, 2),
    )
    context = Context(data=replace(data, records=[twice, *data.records[1:]]))
    page = write_page(tmp_path / "d.html", context, examine(context)).read_text()
    assert f"{twice.name}: {len(twice.boxes)} objects as annotated" in page
