"""Detections of a data set, its images shared out among the ranks."""

from collections.abc import Callable
from dataclasses import replace

import torch

from kedge.data import Data
from kedge.predict.detect import Rows
from kedge.ranks import gathered, num_ranks, this_rank


def shared_out(find: Callable[[Data], Rows], data: Data) -> Rows:
    """``find(data)``, a row for every record, of which each rank finds its own: rank r records
    r, r + ranks, ... All ranks get all rows, in the order of the records, none twice.

    Of fewer records than ranks every rank finds all.
    """
    ranks, images = num_ranks(), len(data.records)
    if images < ranks or ranks == 1:
        return find(data)
    rows = find(replace(data, records=data.records[this_rank() :: ranks]))
    counts = gathered(torch.tensor([len(row["scores"]) for row in rows])).tolist()
    columns = {
        key: gathered(torch.cat([row[key] for row in rows])).split(counts) for key in rows[0]
    }
    order = [place for rank in range(ranks) for place in range(rank, images, ranks)]
    found: Rows = [{} for _ in range(images)]
    for number, place in enumerate(order):
        found[place] = {key: parts[number] for key, parts in columns.items()}
    return found
