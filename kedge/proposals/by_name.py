"""The sources of proposals by name: the one table of them."""

from collections.abc import Callable, Mapping

from kedge.parts import Spec, build
from kedge.proposals.opencv import EdgeBoxes, SelectiveSearch
from kedge.proposals.source import Source
from kedge.proposals.windows import SlidingWindow

SOURCES: dict[str, Callable[..., Source]] = {
    "sliding_window": SlidingWindow,
    "selective_search": SelectiveSearch,
    "edge_boxes": EdgeBoxes,
}


def source_of(spec: Spec | Source) -> Source:
    """A source by name with settings where wanted, "sliding-window" or "selective_search:most=500";
    a source as it is."""
    return build(SOURCES, spec, "source") if isinstance(spec, (str, Mapping)) else spec
