"""The sample: the same bytes from the same seed, a catalogue and a year worth training on, and its dirty rows."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from learn.cli import learn
from learn.data.sample.shop import DIRTY, USERS, make_sample
from learn.data.sample.words import read_words

ROOT = Path(__file__).parents[2]

Row = tuple[str, str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder)
    return folder


@pytest.fixture(scope="module")
def items(folder: Path) -> list[dict[str, str | None]]:
    return [json.loads(line) for line in unpacked(folder / "items.jsonl.gz").splitlines()]


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    lines = unpacked(folder / "interactions.tsv.gz").splitlines()
    assert lines[0] == "user_id\titem_id\ttimestamp"
    return [(user, item, moment) for user, item, moment in (line.split("\t") for line in lines[1:])]


@pytest.fixture(scope="module")
def clean(items: list[dict[str, str | None]], rows: list[Row]) -> list[Row]:
    """The interactions that validation should keep, the items' own faults apart."""
    known = {item["item_id"] for item in items}
    kept = dict.fromkeys(row for row in rows if row[0] and row[1] in known and row[2].startswith("2025-"))
    return list(kept)


def unpacked(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def test_the_same_seed_is_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(learn, ["data", "sample", "--out", str(tmp_path / "again")])
    assert done.exit_code == 0, done.output
    make_sample(tmp_path / "other", seed=8)
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert (tmp_path / "other" / path.name).read_bytes() != path.read_bytes()


def test_the_repository_holds_what_the_script_makes(folder: Path) -> None:
    pointer = (ROOT / "data.dvc").read_text()
    version = next(line.split()[-1] for line in pointer.splitlines() if "md5:" in line and ".dir" in line)
    store = ROOT / "sample_remote" / "files" / "md5"
    listed = json.loads((store / version[:2] / version[2:]).read_bytes())
    held = {file["relpath"]: unpacked(store / file["md5"][:2] / file["md5"][2:]) for file in listed}
    # The text, not the packed bytes: another zlib may pack otherwise.
    assert held == {path.name: unpacked(path) for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) < 2_000_000


def test_the_catalogue(items: list[dict[str, str | None]]) -> None:
    assert len(items) == len({item["item_id"] for item in items}) == 1_008
    assert {item["category"] for item in items} == {department.name for department in read_words().departments}
    titles = [item["title"] for item in items if item["title"] and len(item["title"]) > 12]
    assert len(set(titles)) == len(titles)
    assert len(read_words().departments) == 12
    assert all(
        len(department.series) == 14 and len(department.products) == 6 for department in read_words().departments
    )
    assert len({series for department in read_words().departments for series in department.series}) == 12 * 14
    assert len({brand for department in read_words().departments for brand in department.brands}) == 12 * 4
    assert all(any(style.name in str(item["keywords"]) for style in read_words().styles) for item in items)


def test_the_year(clean: list[Row]) -> None:
    lengths = Counter(user for user, _, _ in clean)
    assert len(lengths) == USERS
    assert (min(lengths.values()), max(lengths.values())) == (3, 40)
    assert 28_000 < len(clean) < 33_000
    moments = [datetime.fromisoformat(moment) for _, _, moment in clean]
    assert {moment.year for moment in moments} == {2025}
    assert {moment.month for moment in moments} == set(range(1, 13))
    assert moments == sorted(moments)
    assert len(set(clean)) == len({(user, item) for user, item, _ in clean}), "nobody takes one item twice"


def test_the_dirty_rows_are_those_that_are_counted(
    items: list[dict[str, str | None]], rows: list[Row], clean: list[Row]
) -> None:
    titles = [item["title"] for item in items]
    assert sum(not title for title in titles) == DIRTY.items_without_title
    assert sum(str(title).lower() in ("?", "damaged") for title in titles) == DIRTY.items_with_placeholder
    assert sum("<div" in str(title) for title in titles) == DIRTY.items_with_markup
    assert sum("Ã" in str(title) for title in titles) == DIRTY.items_with_mojibake
    known = {item["item_id"] for item in items}
    assert sum(row[1] not in known for row in rows) == DIRTY.unknown_item
    assert sum(not row[2][:4].isdigit() for row in rows) == DIRTY.unparsable_timestamp
    assert sum(row[2].startswith("1970") for row in rows) == DIRTY.timestamp_of_1970
    assert sum(row[2].startswith("2199") for row in rows) == DIRTY.timestamp_of_2199
    assert sum(not row[0] for row in rows) == DIRTY.blank_user
    assert len(rows) - len(set(rows)) == DIRTY.duplicate
    assert len(rows) - len(clean) == DIRTY.interactions
    assert 0.01 < DIRTY.items / len(items) < 0.02
    assert 0.01 < DIRTY.interactions / len(rows) < 0.02


def test_text_and_order_both_carry_signal(clean: list[Row], items: list[dict[str, str | None]]) -> None:
    """Hits at 10 in the newest tenth: popularity < everything the user had < what followed the last item."""
    place = {str(item["item_id"]): at for at, item in enumerate(items)}
    line = [" ".join(str(item["title"]).split()[:2]) for item in items]
    histories: dict[str, list[int]] = defaultdict(list)
    popular = np.zeros(len(items))
    after = np.zeros((len(items), len(items)))
    beside = np.zeros((len(items), len(items)))
    cut = len(clean) * 9 // 10
    for user, item_id, _ in clean[:cut]:
        history, item = histories[user], place[item_id]
        beside[history, item] += 1
        beside[item, history] += 1
        after[history[-1:], item] += 1
        popular[item] += 1
        history.append(item)
    hits: Counter[str] = Counter()
    for user, item_id, _ in clean[cut:]:
        history, item = histories[user], place[item_id]
        if history:
            hits["tests"] += 1
            hits["popularity"] += found(popular, history, item)
            hits["bag"] += found(beside[history].sum(axis=0), history, item)
            hits["order"] += found(after[history[-1]] + popular * 1e-6, history, item)
            hits["text"] += line[item] == line[history[-1]]
        history.append(item)
    share = {name: count / hits["tests"] for name, count in hits.items()}
    assert share["popularity"] < 0.08
    assert share["bag"] > 4 * share["popularity"]
    assert share["order"] > share["bag"] + 0.1
    assert share["text"] > 0.35, "the next item often shares brand and series with the last"


def found(scores: npt.NDArray[np.float64], seen: list[int], item: int) -> bool:
    left = scores.copy()
    left[seen] = -1.0
    return bool((left > left[item]).sum() < 10)
