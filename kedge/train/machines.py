"""The processes of a run: which one this is, before they know of each other, and what they need."""

import os

import torch

from kedge.counted import count
from kedge.ranks import num_ranks, this_rank
from kedge.train.config import TrainConfig


def is_first(config: TrainConfig) -> bool:
    """Whether this process writes what the run leaves behind.

    Before the processes have met, the rank is what torchrun (``RANK``), Lightning (``LOCAL_RANK``,
    ``NODE_RANK``) or Slurm (``SLURM_PROCID``) say. A run of one process is always its own first.
    """
    if config.ranks == 1:
        return True
    if num_ranks() > 1:
        return this_rank() == 0
    known = os.environ
    if "RANK" not in known and ("LOCAL_RANK" in known or "NODE_RANK" in known):
        return not int(known.get("LOCAL_RANK", 0)) and not int(known.get("NODE_RANK", 0))
    return int(known.get("RANK", known.get("SLURM_PROCID", 0))) == 0


def check_machines(config: TrainConfig) -> None:
    """``ValueError`` for processes that this machine cannot run, or that cannot share a batch."""
    if config.sync_batchnorm and not torch.cuda.is_available():
        raise ValueError(
            "sync_batchnorm: needs CUDA devices; without it every process has the statistics of "
            "its own images, and detectors with group norm (retinanet, fcos, atss) have none"
        )
    if config.ranks == 1:
        return
    if config.batch_size % config.ranks:
        raise ValueError(
            f"batch_size: {count(config.ranks, 'process', 'processes')} cannot share "
            f"{count(config.batch_size, 'image')} evenly; take a multiple of {config.ranks}"
        )
    if num_ranks() > 1:
        return  # they have met, so that each has its device
    has = torch.cuda.device_count()
    if torch.cuda.is_available() and config.devices > has:
        raise ValueError(f"devices: {config.devices} are asked for, this machine has {has}")
    if torch.backends.mps.is_available() and config.devices > 1:
        raise ValueError("devices: Apple's GPU is one device; take devices 1")
