"""A synthetic shop in which every purchase follows from the one before, or, shuffled, from nothing."""

from __future__ import annotations

import random
from pathlib import Path

from tests.flows.synthetic_tables import write_tables

ITEMS = 12
LEARNERS, DECIDERS, ASKED = 150, 60, 120
SETTINGS = """
[towers]
dimension = 16
[training]
epochs = 25
[split]
validation_from = "2024-04-01"
test_from = "2024-05-01"
[serving]
parity_users = 20
[drift]
sample_rows = 200
sample_vectors = 50
permutations = 200
[gate]
# Whoever is asked came after the training window, so the windows differ on purpose.
max_drift_effect = 1.0
"""

_WORDS = ["tent", "rope", "stove", "lamp", "boot", "axe", "pan", "jacket", "map", "sledge", "kayak", "tripod"]


def write_chain(folder: Path, *, shuffled: bool = False, learners: int = LEARNERS) -> Path:
    """Write the tables: who learns buys in February, who decides on the epoch until April, who is asked until May.

    Args:
        folder: Of the tables.
        shuffled: Whether the items of the training window are dealt out again, which leaves their popularity as it is.
        learners: Users of the training window alone.
    """
    trained = [(f"l{user}", user + step, f"2024-02-{step + 1:02}") for user in range(learners) for step in range(6)]
    trained += [(f"d{user}", user + step, f"2024-02-{step + 10}") for user in range(DECIDERS) for step in range(3)]
    later = [(f"d{user}", user + 3, "2024-04-02") for user in range(DECIDERS)]
    later += [(f"a{user}", user + step, f"2024-04-{step + 3:02}") for user in range(ASKED) for step in range(2)]
    later += [(f"a{user}", user + 2, "2024-05-02") for user in range(ASKED)]
    places = [place for _, place, _ in trained]
    if shuffled:
        random.Random(0).shuffle(places)  # noqa: S311 - made-up users, no secrets
    rows = [(user, place, day) for (user, _, day), place in zip(trained, places, strict=True)] + later
    lines = [f"{user},i{place % ITEMS},{day}" for user, place, day in rows]
    items = "".join(f"i{row},Sturdy {word} for long walks\n" for row, word in enumerate(_WORDS))
    interactions = "\n".join(["user_id,item_id,timestamp", *lines, ""])
    return write_tables(folder, items=f"item_id,title\n{items}", interactions=interactions)
