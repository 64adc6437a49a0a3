"""Where and with what a run was made."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("kedge", "torch", "torchvision", "lightning", "numpy", "safetensors")


def versions() -> dict[str, str]:
    """Python and the packages that shape a run."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor type, cores, threads that torch uses, accelerator. No host name."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def command() -> str:
    """The command line, the program by its name only."""
    import shlex
    from pathlib import Path

    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
