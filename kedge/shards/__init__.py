"""Data in parts: files, folders, globs and addresses that are looked at one by one, here or on a
Ray cluster, with the same outcome."""

from kedge.shards.by_name import counter_of
from kedge.shards.counter import Counter, in_turn
from kedge.shards.named import shards_of
from kedge.shards.over import merge_shards, over_shards

__all__ = ["Counter", "counter_of", "in_turn", "merge_shards", "over_shards", "shards_of"]
