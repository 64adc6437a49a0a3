"""YOLOv3: the best shape of the whole pyramid, in the cell of the object's centre."""

from dataclasses import dataclass

from kedge.assign.shared.cell_rule import CellRule


@dataclass(frozen=True, kw_only=True)
class YOLOv3(CellRule):
    """One anchor per object: of all levels' shapes the best fitting, in its level's cell.

    YOLOv2's rule (``BestInCell``) on a pyramid: shapes are compared by IoU with both boxes centred;
    equal shapes: the first. Where several objects want the same anchor the last one gets it, as in
    darknet. Anchors whose *predicted* box overlaps some object by more than ``ignore_above`` are
    not background but ignored; without predictions that rule rests. ``siblings`` and ``similar``,
    ours: what becomes of the shapes of all levels in the cells of the object's centre that fit it
    by ``similar`` too.

    Source: Redmon and Farhadi, arXiv:1804.02767, section 2.1; darknet's yolo layer and the
    ``ignore_thresh`` of its configuration. Deviations: an object centred outside the image belongs
    to the nearest cell; an overwritten object leaves no class behind (darknet adds up the classes);
    any number of objects per image, centred anywhere (darknet stops reading at x = 0).
    """

    ignore_above: float = 0.7
