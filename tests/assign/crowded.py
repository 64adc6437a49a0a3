"""Scenes with rare cases in most: the rules that leave pairs unpriced are tried on them."""

import torch

from kedge import Grid, Level, Predictions, Targets


def crowded(seed: int) -> tuple[Grid, Targets, Predictions]:
    """Tiny objects beside large ones, some twice, some of them crowds; half of the predictions
    are near some object."""
    g = torch.Generator().manual_seed(seed)
    grid, batch = Grid((64, 96), [Level(stride=s) for s in (8, 16)]), 2
    count = int(torch.randint(1, 24, (), generator=g))
    centre = torch.rand(count, 2, generator=g) * torch.tensor([96, 64])
    side = torch.rand(count, 2, generator=g) * (4, 10, 60)[seed % 3]
    half = count - count // 2
    centre[half:] = centre[: count // 2] + torch.randn(count // 2, 2, generator=g)
    boxes = torch.cat([centre - side / 2, centre + side / 2], 1)
    targets = Targets(
        boxes=boxes,
        labels=torch.randint(3, (count,), generator=g),
        image=torch.randint(batch, (count,), generator=g).sort().values,
        ignore=torch.rand(count, generator=g) < 0.2,
        batch_size=batch,
    )
    shape = (batch, len(grid))
    middle = grid.points() + 20 * torch.randn(*shape, 2, generator=g)
    size = 40 * torch.rand(*shape, 2, generator=g)
    said = torch.cat([middle - size / 2, middle + size / 2], -1)
    near = boxes[torch.randint(count, shape, generator=g)] + torch.randn(*shape, 4, generator=g)
    said = torch.where(torch.rand(*shape, 1, generator=g) < 0.5, near, said)
    logits = torch.randn(*shape, 3, generator=g).round()  # equal costs
    return grid, targets, Predictions.from_tensors(logits, said)
