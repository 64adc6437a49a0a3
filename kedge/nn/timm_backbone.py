"""Any backbone of timm, through its ``features_only`` interface."""

from typing import Any

from torch import Tensor, nn

from kedge.nn.downloads import downloads
from kedge.nn.normalise import Normalise


class TimmBackbone(nn.Module):
    """The maps of stride ``strides`` of the timm model ``name``.

    Images are normalised with the mean and standard deviation that the model was trained with.
    Nothing is downloaded unless ``pretrained``.

    Raises:
        ImportError: timm is not installed.
        ValueError: no such model, or it has no map of a stride asked for.
    """

    def __init__(
        self, name: str, *, pretrained: bool = False, strides: tuple[int, ...] = (8, 16, 32)
    ) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise ImportError(
                f"backbone {name!r} comes from timm, which is not installed: "
                "pip install 'kedge[backbones]', or use backbone='tiny'"
            ) from error
        if not timm.is_model(name):
            close = ", ".join(timm.list_models(f"*{name}*")[:5]) or "nothing"
            raise ValueError(
                f"timm has no model {name!r}; near it: {close} (timm.list_models() has them all)"
            )
        model: Any = timm.create_model(name, pretrained=downloads(pretrained), features_only=True)
        self.model = model
        found = list(model.feature_info.reduction())
        missing = [s for s in strides if s not in found]
        if missing:
            raise ValueError(f"{name} has maps of stride {found}, none of stride {missing}")
        self.strides = tuple(strides)
        self._at = [found.index(s) for s in strides]
        self.channels = tuple(model.feature_info.channels()[i] for i in self._at)
        config = model.pretrained_cfg
        self.normalise = Normalise(config["mean"], config["std"])

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.model(self.normalise(images))
        return [maps[i] for i in self._at]
