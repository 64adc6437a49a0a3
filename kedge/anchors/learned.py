"""LearnedShapes: anchor shapes as parameters of a detector."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.anchors.remembered import remembered


class LearnedShapes(nn.Module):
    """The shapes of a pyramid as logarithms of width and height, shared by all cells of a level.

    ``anchors(image_size)`` gives the ``Grid`` for images (H, W); its boxes carry the gradient. The
    losses reach the shapes through the size residual, ``delta + log(anchor) - log(object)``, which
    is what every size-coding coder computes when it encodes against these boxes; the assignment
    stays frozen.

    With ``learn=False`` the same module holds fixed anchors, so a detector has one kind of anchors
    and its checkpoint always says which.

    Source: Zhong et al., arXiv:1812.00469, section 3.1; "multi-level maps just stack their shapes".
    """

    log_shapes: nn.Parameter

    def __init__(self, levels: Sequence[Level], learn: bool = True) -> None:
        super().__init__()
        shapes = torch.cat([level.shapes_tensor().detach().float() for level in levels])
        self.levels = tuple(
            replace(level, shapes=level.shapes_tensor().detach()) for level in levels
        )
        self.log_shapes = nn.Parameter(shapes.log(), requires_grad=learn)
        self._grids: dict[tuple[int, int], Grid] = {}

    def __len__(self) -> int:
        return len(self.log_shapes)

    @property
    def learn(self) -> bool:
        """Whether the optimiser moves the shapes."""
        return self.log_shapes.requires_grad

    @property
    def shapes(self) -> Tensor:
        """(S, 2) widths and heights in pixels, without a graph."""
        return self.log_shapes.detach().exp()

    def level_strides(self) -> Tensor:
        """(L, 2) cell size of every level, x then y."""
        return torch.tensor([level.strides[::-1] for level in self.levels])

    def level_offsets(self) -> Tensor:
        """(L, 2) where in its cell an anchor's centre lies, in cells, x then y."""
        return torch.tensor([[level.offset] * 2 for level in self.levels])

    def level_of_shapes(self) -> Tensor:
        """(S,) the level of every shape."""
        counts = torch.tensor([len(level.shapes_tensor()) for level in self.levels])
        return torch.arange(len(counts)).repeat_interleave(counts)

    def forward(self, image_size: tuple[int, int]) -> Grid:
        """The grid of images (H, W), with boxes that are differentiable in the shapes."""
        size = (int(image_size[0]), int(image_size[1]))
        shapes = self.log_shapes.exp()
        known = self._grids.get(size)
        if known is None or known.device != shapes.device or known.shapes.dtype != shapes.dtype:
            known = Grid(size, self.levels).with_shapes(shapes.detach())
            known.rows  # noqa: B018  # computed once per size, then shared by with_shapes
            remembered(self._grids, size, known)
        return known.with_shapes(shapes)

    def set_cells_(self, cells: Sequence[tuple[tuple[float, float], float]]) -> None:
        """Another cell size (y, x) in pixels for every level, and another offset in the cell."""
        if len(cells) != len(self.levels):
            raise ValueError(
                f"set_cells_: these anchors have {len(self.levels)} levels, got {len(cells)}"
            )
        if all((level.strides, level.offset) == cell for level, cell in zip(self.levels, cells)):
            return
        self.levels = tuple(
            replace(level, stride=stride, offset=offset)
            for level, (stride, offset) in zip(self.levels, cells)
        )
        self._grids = {}

    @torch.no_grad()
    def set_shapes_(self, shapes: Tensor) -> None:
        """Puts ``shapes`` (S, 2), pixels, in place of the present ones."""
        shapes = torch.as_tensor(shapes, dtype=self.log_shapes.dtype)
        self._check(shapes, "set_shapes_")
        self.log_shapes.copy_(shapes.log())

    def _check(self, shapes: Tensor, where: str) -> None:
        if shapes.shape != self.log_shapes.shape:
            raise ValueError(
                f"{where}: these anchors are {len(self)} shapes (w, h), got {tuple(shapes.shape)}"
            )
        if not bool((torch.isfinite(shapes) & (shapes > 0)).all()):
            raise ValueError(f"{where}: shapes must be positive and finite, got {shapes.tolist()}")

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:  # pyright: ignore
        stored = state_dict.get(prefix + "log_shapes")
        if stored is not None:
            self._check(stored.exp(), "the checkpoint's anchors")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """The shapes as w x h, finest level first."""
        return ", ".join(f"{w:.4g} x {h:.4g}" for w, h in self.shapes.tolist())
