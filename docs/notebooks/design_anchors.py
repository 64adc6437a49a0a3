# %% [markdown]
# # Design anchors
#
# Which shapes fit your objects, how many are worth having, and are they better than those you
# have? The data here are drawn, so this needs nothing but Kedge; put a folder of yours in place of
# `"toy"`.

# %%
from kedge.design import DesignSettings, design_command, read_boxes

table = read_boxes("toy", "train")
print(f"{len(table):,} boxes")

# %% [markdown]
# Nine shapes for an input of 640 x 640, and a verdict on images that were held out: the shapes
# judged there were designed without them.

# %%
report = design_command(table, DesignSettings(k=9, image_size=640))
print(report.text())

# %% [markdown]
# The verdict says whether the new shapes are better, by how much and how sure that is. Here they
# beat every published set, also RetinaNet's, which has five times as many shapes. The bars show
# what one more shape buys: little after the first few.

# %%
assert report.verdict is not None
rows = {row.name: row.metrics for row in report.verdict.rows}
best = max(rows, key=lambda name: rows[name].mean_best_iou)
assert best == "new"
print("best on held-out images:", best)

# %% [markdown]
# A mean hides who goes without. On the real grid, the share of objects that reach an IoU of 0.5
# with some anchor is what a threshold sees; asked for it, the search gives other shapes.

# %%
placed = design_command(
    table, DesignSettings(k=9, image_size=640, objective="placed", compare=False)
)
for name, one in (("mean IoU", report.design), ("placed", placed.design)):
    print(f"{name:9s} mean best IoU {one.mean_best_iou:.3f}, placed recall {one.placed_recall:.3f}")
assert placed.design.placed_recall > report.design.placed_recall
assert placed.design.mean_best_iou < report.design.mean_best_iou

# %% [markdown]
# The same from a terminal, ready to paste into the framework that you have:
#
# `kedge design toy --k 9 --image-size 640 --for yolov5`
