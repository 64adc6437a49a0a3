# %% [markdown]
# # Explain a failure
#
# A detector misses small and slender things. Is it the anchors? Ask before training again:
# RetinaNet's published anchors meet the drawn data in an input of 256 x 320.

# %%
from kedge.doctor import examine, open_context

context = open_context("toy", detector="retinanet", image_size=(256, 320))
findings = {finding.check: finding for finding in examine(context)}
for finding in findings.values():
    if finding.severity != "note":
        print(f"{finding.severity:8s} {finding.symptom}")

# %% [markdown]
# The first finding has its evidence, a cause and a cure, and the effect that the cure is computed
# to have.

# %%
worst = findings["poorly_covered"]
print(worst.symptom)
print("share:", round(worst.evidence["share"], 3))
print("cause:", worst.cause)
print("cure: ", worst.cure)
print("effect:", worst.effect)

# %% [markdown]
# Most of these objects are smaller than every anchor; a lower threshold would only call a bad fit
# good. Look at the image that has most of them, with the low-quality match switched off; every
# object in red can be asked why.

# %%
import torch

from kedge import Grid, MaxIoU
from kedge.data import toy
from kedge.data.images import decode
from kedge.live import View

name = worst.evidence["worst_images"][0]["image"]
data = toy.data("train")
record = next(r for r in data.records if r.name.endswith(name))
target = {"boxes": torch.from_numpy(record.boxes), "labels": torch.from_numpy(record.labels)}
assert context.setup is not None
grid = context.setup.grid
assert isinstance(grid, Grid)
rule = MaxIoU(low_quality="none")
View(decode(record), target, grid, [rule], classes=list(data.classes))

# %% [markdown]
# The cure, tried: shapes designed for this data, asked the same question.

# %%
from kedge.design import DesignSettings, design_command, read_boxes

settings = DesignSettings(k=9, image_size=(256, 320), objective="placed", compare=False)
design = design_command(read_boxes("toy", "train"), settings).design
text = ",".join(f"{w:.1f}x{h:.1f}" for w, h in design.shapes.tolist())
print(text)
again = open_context("toy", detector="yolov3", anchors=text, image_size=(256, 320))
after = {finding.check: finding for finding in examine(again)}
left = after["poorly_covered"].evidence["share"] if "poorly_covered" in after else 0.0
print(f"objects without an anchor of IoU 0.5: {worst.evidence['share']:.0%} before, {left:.0%} now")
assert left < worst.evidence["share"] / 4
