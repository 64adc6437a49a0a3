"""Detectors as files that run without this library: ONNX, int8, OpenVINO, ``torch.export``.

``export(detector, path)`` writes one, ``open_exported(path)`` runs it. Needs the extra ``export``.
"""

from typing import TYPE_CHECKING

from kedge.lazy import lazily

if TYPE_CHECKING:
    from kedge.export.facts import Facts
    from kedge.export.opened import Exported, is_exported, open_exported
    from kedge.export.write import export

__all__ = ["Exported", "Facts", "export", "is_exported", "open_exported"]

__getattr__ = lazily(
    __name__,
    {
        "Exported": "opened",
        "Facts": "facts",
        "export": "write",
        "is_exported": "opened",
        "open_exported": "opened",
    },
)
