"""A synthetic folder of many habits, and a hash of what reading and validating it gives.

python -m tests.data.golden_reading    # writes golden_reading.json again, after READER_VERSION was raised
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from learn.config.data import DataSettings, ValidationSettings
from learn.data.prepared import READER_VERSION
from learn.data.tables import load_tables
from learn.data.validation.validate import validate_tables
from learn.errors import LearnError

FILE = Path(__file__).with_name("golden_reading.json")

_ROWS = [(f"u{user}", f"{item:03}", user, item) for user in range(12) for item in range(1, 6)]
_TITLES = (
    "Cup, blue",
    'Pipe 3"',
    "Löffel  groß",
    "It",
    "n/a",
    "<b>Hat</b>",
    "日本の茶碗",
    "{a; b} effective",
    "🎁 box",
    "Up",
)
_ITEMS: list[dict[str, object]] = [
    {"item_id": f"{item:03}", "title": title, "price": f"{item},5", "tags": ["a", "b"][: item % 3], "x": {"y": item}}
    for item, title in enumerate(_TITLES, start=1)
]


def _write_delimited(separator: str, rows: list[list[object]], *, end: str = "\n") -> str:
    def write_field(value: object) -> str:
        text = str(value)
        return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in (separator, '"', "\n")) else text

    return "".join(separator.join(map(write_field, row)) + end for row in rows)


def _build_cases() -> dict[str, dict[str, str]]:
    """Case -> name of a file -> its text."""
    names = ("item_id", "title", "price")
    items: list[list[object]] = [[*names]]
    items += [[item[name] for name in names] for item in _ITEMS]

    def write_interactions(moments: list[object], separator: str = ",") -> str:
        rows: list[list[object]] = [[user, item, moments[(u * 5 + i) % len(moments)], 1] for user, item, u, i in _ROWS]
        return _write_delimited(separator, [["user_id", "item_id", "timestamp", "weight"], *rows])

    lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in _ITEMS)
    seconds: list[object] = [1_577_880_000 + 86_400 * day for day in range(60)]
    texts: list[object] = [f"2020-0{1 + day // 28}-{1 + day % 28:02} 08:26:00" for day in range(60)]
    zoned: list[object] = [f"2020-01-{1 + day % 28:02}T08:26:00+02:00" for day in range(60)]
    return {
        "csv": {"items.csv": _write_delimited(",", items), "interactions.csv": write_interactions(seconds)},
        "crlf and bom": {
            "items.csv": "\ufeff" + _write_delimited(",", items, end="\r\n"),
            "interactions.csv": write_interactions([f"{moment}000" for moment in seconds]),
        },
        "tsv": {"items.tsv": _write_delimited("\t", items), "interactions.tsv": write_interactions(texts, "\t")},
        "json lines": {"items.jsonl": lines, "interactions.csv": write_interactions(zoned)},
        "order": {"items.jsonl": lines, "interactions.csv": write_interactions(list(range(1, 61)))},
        "open mark": {
            "items.csv": _write_delimited(",", items) + '011,5 inch" pipe\n',
            "interactions.csv": write_interactions(seconds),
        },
        "bad rows": {
            "items.csv": _write_delimited(",", [*items, ["012", "", ""]]),
            "interactions.csv": write_interactions([*seconds[:58], "soon", "-5"]),
        },
    }


def measure_reading() -> str:
    """Return a hash of the rows, types and reasons that all cases give."""
    found = {}
    for case, files in _build_cases().items():
        with tempfile.TemporaryDirectory() as folder:
            found[case] = _read_case(Path(folder), files)
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest()


def _read_case(folder: Path, files: dict[str, str]) -> Any:
    source = folder / "source"
    source.mkdir()
    for name, text in files.items():
        (source / name).write_text(text, encoding="utf-8", newline="")
    report = folder / "validation.html"
    lenient = ValidationSettings(max_quarantined_share=1, latest="2030-01-01")
    try:
        raw = load_tables(source, folder / "raw", settings=DataSettings())
        valid = validate_tables(
            raw.folder,
            folder / "valid",
            report=report,
            settings=lenient,
            sources=[source / name for name in raw.sources],
        )
    except LearnError as fault:
        # Its words may become better; that a folder is refused is what is held.
        return type(fault).__name__
    frames = {
        f"{part.name}/{path.name}": pl.read_parquet(path)
        for part in (raw.folder, valid.folder)
        for path in sorted(part.glob("*.parquet"))
    }
    return {
        name: (dict(zip(frame.columns, map(str, frame.dtypes), strict=True)), frame.rows())
        for name, frame in frames.items()
    } | {"quarantined": (valid.items.quarantined, valid.interactions.quarantined)}


if __name__ == "__main__":
    FILE.write_text(json.dumps({"version": READER_VERSION, "outcome": measure_reading()}) + "\n", encoding="utf-8")
