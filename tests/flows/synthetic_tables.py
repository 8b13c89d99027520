"""Small tables of a synthetic shop, sound until a test spoils them."""

from __future__ import annotations

from pathlib import Path

ITEMS = "item_id,title\n" + "".join(f"i{row},Leather walking boot number {row}\n" for row in range(8))
INTERACTIONS = "user_id,item_id,timestamp\n" + "".join(
    f"u{user},i{(user + step) % 8},2024-0{step + 1}-{user + 10}\n" for user in range(6) for step in range(4)
)


def write_tables(folder: Path, *, items: str = ITEMS, interactions: str = INTERACTIONS) -> Path:
    """Write both tables as CSV and return their folder."""
    folder.mkdir(parents=True)
    (folder / "items.csv").write_text(items, encoding="utf-8")
    (folder / "interactions.csv").write_text(interactions, encoding="utf-8")
    return folder
