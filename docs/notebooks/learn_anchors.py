# %% [markdown]
# # Learn anchors
#
# Anchor shapes can be parameters of the detector, moved by the same loss that trains its boxes
# ([Zhong et al.](https://arxiv.org/abs/1812.00469)). To see that it works, start from shapes that
# fit nothing.

# %%
import tempfile
from pathlib import Path

from kedge.train import TrainConfig, train

settings = {
    "data": "toy",
    "detector": "yolov2",
    "anchors": "3x3,4x4,5x5,6x6",
    "learn_anchors": True,
    "image_size": (128, 160),
    "epochs": 4,
    "batch_size": 8,
}
folder = Path(tempfile.mkdtemp())
result = train(TrainConfig(**settings, out=folder / "learned"))

# %% [markdown]
# Every run keeps its shapes at the start, after the warm-up and at the end, beside k-means with as
# many.

# %%
found = {station.name: station for station in result.stations}
for name, station in found.items():
    shapes = ", ".join(f"{w:.0f}x{h:.0f}" for w, h in station.shapes)
    print(f"{name:14s} {shapes:32s} mean best IoU {station.mean_best_iou:.3f}")

# %% [markdown]
# From shapes that fit nothing, the warm-up alone comes to where k-means does.

# %%
fit = {name: station.mean_best_iou for name, station in found.items()}
assert fit["initial"] < fit["k-means"] / 2
assert abs(fit["after warm-up"] - fit["k-means"]) < 0.03

# %% [markdown]
# Whether a detector finds more with them depends on the data: [the
# table](../benchmarks.md#learned-anchors) says where it does and where it does not. To watch
# shapes move while a run goes on: `kedge live --run RUN`.
