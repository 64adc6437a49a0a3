"""The number format that a run computes in."""

import torch

from kedge.train.config import TrainConfig


def precision_of(config: TrainConfig) -> str:
    """32, bf16 or 16, as is set, with auto decided by this machine.

    ``ValueError`` for one that this machine does not have.
    """
    if config.precision == "auto":
        return "bf16" if has_bf16() else "32"
    if config.precision == "16" and not torch.cuda.is_available():
        raise ValueError("precision: 16 needs a CUDA device; use bf16, or 32")
    return config.precision


def has_bf16() -> bool:
    """Whether the accelerator, or else the processor, computes in bfloat16 itself."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return not torch.backends.mps.is_available() and torch.cpu._is_avx512_bf16_supported()
