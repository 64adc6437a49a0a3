# %% [markdown]
# # Swap a strategy
#
# The same anchors, the same objects, another rule: who answers for what, and who goes without?

# %%
import torch

from kedge import Grid, Level, Targets
from kedge.assign import ATSS, FCOS, RFLA, MaxIoU, report
from kedge.data import toy
from kedge.data.images import decode

record = toy.data("train", images=51).records[50]
levels = [Level(stride=s, shapes=[(4 * s, 4 * s)]) for s in (8, 16, 32, 64)]
grid = Grid(image_size=(record.height, record.width), levels=levels)
target = {"boxes": torch.from_numpy(record.boxes), "labels": torch.from_numpy(record.labels)}
targets = Targets.from_list([target])
print(f"{len(targets)} objects, {len(grid):,} anchors")

# %% [markdown]
# A strategy is called with anchors and objects, and answers with pairs. `report` counts them.

# %%
rules = {
    "MaxIoU, no rescue": MaxIoU(low_quality="none"),
    "MaxIoU": MaxIoU(),
    "ATSS": ATSS(),
    "RFLA": RFLA(),
}
counted = {name: report(rule(grid, targets)) for name, rule in rules.items()}
for name, one in counted.items():
    print(f"{name:18s} {one.positives:3d} positives, {len(one.without)} objects without an anchor")

# %% [markdown]
# With a fixed threshold alone, some objects have no anchor. The low-quality match gives each its
# best anchor, whatever its IoU; RFLA takes as many for every object here, however small.

# %%
assert len(counted["MaxIoU, no rescue"].without) > 0
assert len(counted["MaxIoU"].without) == 0
assert counted["RFLA"].per_target.unique().tolist() == [3]

# %% [markdown]
# See it. Wheel or pinch zooms; choose an object in red to read why nobody answers for it.

# %%
from kedge.live import View

image = decode(record)
classes = list(toy.data("train", images=1).classes)
View(image, target, grid, [rules["MaxIoU, no rescue"], rules["ATSS"]], classes=classes)

# %% [markdown]
# Some rules are for points. The same call, on a grid without shapes:

# %%
points = Grid(
    image_size=(record.height, record.width), levels=[Level(stride=s) for s in (8, 16, 32, 64, 128)]
)
print(report(FCOS()(points, targets)))
