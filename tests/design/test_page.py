"""The page of a design: what it says of its figures."""

import pytest

from kedge.data import read
from kedge.design import DesignSettings, design_command, table_from_records
from kedge.pages.design import sections

pytest.importorskip("plotly")


@pytest.mark.parametrize(
    ("objective", "words"),
    [("mean_iou", "mean best IoU"), ("placed", "mean best IoU"), ("bpr", "BPR")],
)
def test_the_curve_is_called_what_it_shows(objective, words):
    settings = DesignSettings(k=3, objective=objective, restarts=2, compare=False)
    report = design_command(table_from_records(read("toy").records[:20]), settings)
    found = {section.title: section.blocks for section in sections(report, "")}
    figure = found["How many"][0].figure
    assert figure.layout.yaxis.title.text == figure.data[0].name == words
    assert f"\n{report.curve.objective} by number of shapes:\n" in report.text()
    assert report.curve.objective == ("bpr" if objective == "bpr" else "mean_iou")
