"""BestInCell: YOLOv2's rule. The cell of an object's centre, and in it the anchor of the best
shape."""

from dataclasses import dataclass

from kedge.assign.shared.cell_rule import CellRule


@dataclass(frozen=True, kw_only=True)
class BestInCell(CellRule):
    """The anchor in the cell of the object's centre whose shape fits best (IoU with both centred).

    Where several objects want the same anchor the last one gets it, as in darknet. Anchors whose
    *predicted* box overlaps some object by more than ``ignore_above`` are not background but
    ignored; without predictions that rule rests. On a pyramid the best shape of all levels answers
    (YOLOv3's rule). Equal shapes: the first.

    ``siblings``: what becomes of the other anchors of that cell whose shape has an IoU of
    ``similar`` or more with the object's: ``"background"``, as published, though they fit almost as
    well; ``"ignored"``; or ``"positive"`` too, where they are the best of no object. It matters
    where shapes are alike: they share out the objects, and each is taught that those of the others
    are background. ``similar`` is low because shapes of a clustering are far apart: of five by
    k-means no object of thermal images had a second one at .7, four in five had one at .4.

    Source: Redmon and Farhadi, arXiv:1612.08242, section 2; darknet's region layer. Deviations: an
    object centred outside the image belongs to the nearest cell; any number of objects per image;
    the comparison uses anchor shapes (darknet's ``bias_match=1``), not predicted sizes;
    ``siblings`` is ours."""

    ignore_above: float = 0.6
