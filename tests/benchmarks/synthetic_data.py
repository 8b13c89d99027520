"""A public data set that nobody published: small, and in the same files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

_WORDS = ("red", "blue", "steel", "oak", "lamp", "drill", "table", "glove", "valve", "brush")


def write_made_up_set(folder: Path, *, users: int = 40, items: int = 30) -> Path:
    """Write items and interactions whose users walk along the catalogue, so that there is something to learn."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(7)
    with gzip.open(folder / "items.jsonl.gz", "wt", encoding="utf-8") as file:
        for item in range(items):
            title = f"{_WORDS[item % 10]} {_WORDS[(item * 7 + item // 10) % 10]} {item}"
            file.write(json.dumps({"item_id": f"i{item:03d}", "title": title}) + "\n")
    with gzip.open(folder / "interactions.tsv.gz", "wt", encoding="utf-8") as file:
        file.write("user_id\titem_id\ttimestamp\n")
        for user in range(users):
            start, length = draw.integers(items), 6 + draw.integers(6)
            for place in range(length):
                file.write(f"u{user:03d}\ti{(start + place) % items:03d}\t{place + 1}\n")
    return folder
