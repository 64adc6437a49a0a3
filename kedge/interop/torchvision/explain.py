"""explain: what the matching of torchvision's detector does with a batch."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from kedge.detectors.predict import evaluating
from kedge.interop.explained import Explained
from kedge.interop.torchvision.accelerate import accelerate
from kedge.interop.torchvision.rcnn import ProposalTargets
from kedge.interop.torchvision.seam import Seam
from kedge.types import Anchors, Assigner, Assignment, Predictions, Targets


def explain(
    model: nn.Module,
    images: Sequence[Tensor],
    targets: Sequence[Mapping[str, Tensor]],
    *,
    strategy: Assigner | None = None,
) -> Explained:
    """The assignment of a batch (of an R-CNN: of its proposal network), as in training.

    ``images`` and ``targets`` as torchvision takes them; ``strategy`` in place of its rule. Nothing
    in the model changes, running means neither.

    Errors: ``ValueError`` as ``accelerate``; a model that Kedge is already in, too.
    """
    seen: list[tuple[Assigner, Assignment]] = []
    pixels: list[Tensor] = []
    undo = accelerate(model, strategy=strategy, loss=_loss(model, strategy))
    with undo, evaluating(model):
        for module in model.modules():
            _watch(module, seen)
            if hasattr(module, "transform"):
                module.training = module.transform.training = True  # pyright: ignore
                hook = _Pixels(pixels, module.transform)
                undo.later(module.transform.register_forward_hook(hook).remove)  # pyright: ignore
        model([image.clone() for image in images], [dict(target) for target in targets])
    rule, assignment = seen[0]
    return Explained(rule=rule, assignment=assignment, pixels=pixels[0])


def _loss(model: nn.Module, strategy: Assigner | None) -> Any:
    """Kedge's loss where a strategy may need it: what a loss can carry is not the question here."""
    rcnn = any(isinstance(module, ProposalTargets.peer) for module in model.modules())
    return "peer" if strategy is None or rcnn else "kedge"


def _watch(module: nn.Module, seen: list[tuple[Assigner, Assignment]]) -> None:
    """Lets the seams of ``module`` tell what they assign, and leave nothing to torchvision."""
    for seam in vars(module).values():
        if isinstance(seam, Seam):
            module.training = True
            seam.table = -1  # pyright: ignore[reportAttributeAccessIssue]
            if not isinstance(seam, ProposalTargets):
                seam.rule = _Told(seam.rule, seen)


class _Told:
    """A strategy that tells what it does."""

    def __init__(self, rule: Assigner, seen: list[tuple[Assigner, Assignment]]) -> None:
        self.rule, self.seen = rule, seen

    def __call__(
        self, anchors: Anchors, targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        found = self.rule(anchors, targets, predictions)
        self.seen.append((self.rule, found))
        return found


class _Pixels:
    """A forward hook of a transform that keeps the batch, its normalisation taken back."""

    def __init__(self, pixels: list[Tensor], transform: Any) -> None:
        self.pixels = pixels
        self.mean, self.std = transform.image_mean, transform.image_std

    def __call__(self, transform: nn.Module, given: Any, out: Any) -> None:
        images = out[0].tensors
        mean, std = (images.new_tensor(x)[:, None, None] for x in (self.mean, self.std))
        self.pixels.append(images * std + mean)
