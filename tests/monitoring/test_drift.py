"""Drift reports: false alarms, planted shifts, the page, and what happens when things are missing."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from learn.config.monitoring import DriftSettings
from learn.errors import DriftError, StorageError
from learn.monitoring.drift import measure_drift
from learn.monitoring.drift_tests import judge_columns
from learn.monitoring.samples import ColumnSample, Window, draw_column_samples, measure_surprise
from learn.monitoring.summary import ColumnDrift
from tests.monitoring.synthetic_shop import ITEM_COUNT, draw_window, shop_items, shop_vectors

SETTINGS = DriftSettings(sample_vectors=200, permutations=3_000)
MEGABYTE = 1_000_000


def verdicts(reference: Window, current: Window, *, seed: int = 0) -> dict[str, ColumnDrift]:
    samples = draw_column_samples(reference, current, settings=SETTINGS, seed=seed)
    return {column.name: column for column in judge_columns(samples, settings=SETTINGS, seed=seed)}


def drifted(reference: Window, current: Window, *, seed: int = 0) -> set[str]:
    return {name for name, column in verdicts(reference, current, seed=seed).items() if column.drifted}


def test_an_empty_window_is_refused(tmp_path: Path) -> None:
    empty = Window("newest", pl.DataFrame({"item": []}, schema={"item": pl.Int32}), shop_items())
    with pytest.raises(DriftError, match="no interactions"):
        measure_drift(draw_window(0), empty, report=tmp_path / "drift.html", settings=SETTINGS, seed=0)
    assert not list(tmp_path.iterdir())


def test_vectors_of_another_width_are_refused() -> None:
    with pytest.raises(DriftError, match="64 wide in one window and 32 in the other"):
        verdicts(draw_window(0), draw_window(1, item_vectors=np.ones((ITEM_COUNT, 32))))


def test_vectors_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(DriftError, match="not numbers"):
        verdicts(draw_window(0), draw_window(1, item_vectors=np.full((ITEM_COUNT, 64), np.nan)))


def test_a_disk_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, text: str, encoding: str) -> int:
        self.write_bytes(text[:10].encode(encoding))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageError, match="No space"):
        measure_drift(draw_window(0), draw_window(1), report=tmp_path / "drift.html", settings=SETTINGS, seed=0)
    assert not list(tmp_path.iterdir())


def test_windows_of_one_shop_raise_few_alarms() -> None:
    alarms = [
        seed
        for seed in range(40)
        if drifted(draw_window(2 * seed, rows=600), draw_window(2 * seed + 1, rows=600), seed=seed)
    ]
    assert len(alarms) <= 2, alarms


def test_popularity_reversed_is_found() -> None:
    assert all(
        "item_popularity" in drifted(draw_window(seed), draw_window(seed + 50, reverse=True)) for seed in range(5)
    )


def test_a_new_category_with_a_fifth_of_the_traffic_is_found() -> None:
    for seed in range(5):
        current = draw_window(seed + 50)
        rng = np.random.default_rng(seed)
        chosen = pl.Series(np.where(rng.random(1_000) < 0.2, ITEM_COUNT, current.interactions["item"]), dtype=pl.Int32)
        row = pl.DataFrame(
            [["new", "solar charger", "Shop > Energy", "brand 1", "charges by day"]],
            schema=shop_items().schema,
            orient="row",
        )
        moved = Window("newest", current.interactions.with_columns(item=chosen), pl.concat([current.items, row]))
        assert {"category", "item_popularity"} <= drifted(draw_window(seed), moved)


@pytest.mark.parametrize("garbling", ["mojibake", "shuffled letters", "random letters"])
def test_a_tenth_of_the_texts_garbled_is_found(garbling: str) -> None:
    found = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        titles = shop_items()["title"].to_list()
        current = draw_window(seed + 50, rows=2_000)
        # A tenth of the traffic's texts, so that what is planted does not depend on one popular item.
        hit = rng.permutation(current.interactions.height)[:200]
        garbled = [_garbled(titles[current.interactions["item"][int(row)]], garbling, rng) for row in hit]
        rows = current.items[current.interactions["item"].gather(hit)]
        items = pl.concat([current.items, rows.with_columns(title=pl.Series(garbled))])
        numbers = current.interactions["item"].to_numpy().copy()
        numbers[hit] = np.arange(ITEM_COUNT, ITEM_COUNT + 200)
        moved = Window("newest", current.interactions.with_columns(item=pl.Series(numbers)), items.drop("item_id"))
        found += "title_oddness" in drifted(draw_window(seed, rows=2_000), moved)
    assert found == 5


def _garbled(title: str, garbling: str, rng: np.random.Generator) -> str:
    if garbling == "mojibake":
        return title.encode("utf-16-le").decode("latin-1").replace("\0", "Ã")
    if garbling == "shuffled letters":
        return "".join(rng.permutation(list(title)))
    return "".join(rng.choice(list("qxzjvwkpbd"), len(title)))


def test_another_encoder_is_found() -> None:
    rng = np.random.default_rng(0)
    vectors = shop_vectors()
    for seed in range(5):
        rotation = np.linalg.qr(rng.normal(size=(64, 64)))[0]
        assert "item_vectors" in drifted(draw_window(seed), draw_window(seed + 50, item_vectors=vectors @ rotation))


def test_user_vectors_that_moved_are_found() -> None:
    assert all(
        drifted(draw_window(seed), draw_window(seed + 50, user_shift=0.2)) == {"user_vectors"} for seed in range(5)
    )


def draw_active_window(seed: int, *, days: float, a_day: float) -> Window:
    """Draw a window in which 150 users choose at random moments, each of them as often as the others."""
    rng = np.random.default_rng(seed)
    rows = int(150 * days * a_day)
    columns = {
        "item": rng.integers(0, ITEM_COUNT, rows).astype(np.int32),
        "user": rng.integers(0, 150, rows),
        "timestamp": rng.random(rows) * days * 86_400,
    }
    return Window("active", pl.DataFrame(columns), shop_items())


@pytest.mark.parametrize(("a_day", "drifted_there"), [(0.5, False), (1.0, True)])
def test_people_are_as_active_in_a_short_window_as_in_the_newest_stretch_of_a_long_one(
    a_day: float, drifted_there: bool
) -> None:
    found = verdicts(draw_active_window(0, days=100, a_day=0.5), draw_active_window(1, days=10, a_day=a_day))
    assert found["interactions_per_user"].status == "tested"
    assert found["interactions_per_user"].drifted is drifted_there


def test_new_texts_of_the_same_kind_are_no_odder_than_the_known_ones() -> None:
    rng = np.random.default_rng(0)
    titles = rng.permutation(shop_items()["title"].to_list()).tolist()
    gaps = []
    for start in range(0, 400, 80):
        known, new = measure_surprise(titles[start : start + 40], titles[start + 40 : start + 80])
        gaps.append(float(new.mean() - known.mean()))
    # If a text were counted with itself, the known ones would be a third of a bit less odd.
    assert abs(float(np.mean(gaps))) < 0.1


def test_a_difference_that_is_certain_and_small_is_no_drift() -> None:
    rng = np.random.default_rng(0)
    sample = ColumnSample("price", "number", rng.normal(0, 1, 20_000), rng.normal(0.15, 1, 20_000))

    def judge_with(floor: float) -> ColumnDrift:
        (column,) = judge_columns([sample], settings=SETTINGS.model_copy(update={"min_effect": floor}), seed=0)
        return column

    column = judge_with(SETTINGS.min_effect)
    assert column.p_adjusted is not None
    assert column.p_adjusted <= SETTINGS.significance
    assert column.effect is not None
    assert 0 < column.effect < SETTINGS.min_effect
    assert not column.drifted
    assert judge_with(column.effect).drifted


def test_few_rows_are_named_and_raise_nothing() -> None:
    # 49 rows by 45 users: no more rows are drawn than there are users.
    columns = verdicts(draw_window(0), draw_window(1, rows=49, reverse=True))
    assert columns["category"].status == "too_few_rows"
    assert "45 rows" in columns["category"].reason
    assert not any(column.drifted for name, column in columns.items() if name != "user_vectors")


def test_what_is_missing_is_named_not_fatal(tmp_path: Path) -> None:
    bare = [
        Window(f"w{seed}", draw_window(seed).interactions.select("item"), shop_items().select("title"))
        for seed in range(2)
    ]
    summary = measure_drift(bare[0], bare[1], report=tmp_path / "drift.html", settings=SETTINGS, seed=0)
    absent = {column.name for column in summary.columns if column.status == "absent"}
    assert absent == {"description", "category", "brand", "interactions_per_user", "item_vectors", "user_vectors"}
    assert all(column.reason for column in summary.columns if column.status == "absent")
    assert not summary.drifted


def test_nothing_to_compare_still_makes_a_report(tmp_path: Path) -> None:
    windows = [Window(name, pl.DataFrame({"item": [0]}), pl.DataFrame({"title": ["mug"]})) for name in ("a", "b")]
    summary = measure_drift(windows[0], windows[1], report=tmp_path / "drift.html", settings=SETTINGS, seed=0)
    assert not summary.drifted
    assert "could be compared" in summary.sentence


def test_texts_of_one_word_do_not_stop_the_report(tmp_path: Path) -> None:
    items = shop_items().with_columns(title=pl.lit("mug"), description=pl.lit(None, dtype=pl.String))
    summary = measure_drift(
        draw_window(0, items=items),
        draw_window(1, items=items),
        report=tmp_path / "drift.html",
        settings=SETTINGS,
        seed=0,
    )
    assert not summary.drifted


def test_the_page_loads_nothing_is_bounded_and_the_same_again(tmp_path: Path) -> None:
    pages, summaries = [], []
    for name in ("one.html", "two.html"):
        summary = measure_drift(
            draw_window(0, rows=30_000),
            draw_window(1, rows=30_000, user_shift=0.3),
            report=tmp_path / name,
            settings=SETTINGS,
            seed=3,
        )
        pages.append((tmp_path / name).read_text(encoding="utf-8"))
        summaries.append(dataclasses.asdict(summary) | {"report": ""})
    assert pages[0] == pages[1]
    assert summaries[0] == summaries[1]
    assert len(pages[0].encode()) < 5 * MEGABYTE
    markup = re.sub(r"<script>.*?</script>", "", pages[0], flags=re.DOTALL)
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:|//)", markup)
    assert "<link" not in markup
    assert not re.search(r"<script[^>]+src", markup)
    assert "default-src 'none'" in markup
    assert json.loads(json.dumps(summaries[0]))["drifted"] is True
    assert "user_vectors" in pages[0]


def test_a_category_that_holds_markup_stays_text(tmp_path: Path) -> None:
    hostile = "</script x"
    items = shop_items().with_columns(
        category=pl.when(pl.col("brand") == "brand 1").then(pl.lit(hostile)).otherwise("category")
    )
    windows = [draw_window(seed, rows=300, items=items) for seed in (0, 1)]
    measure_drift(windows[0], windows[1], report=tmp_path / "drift.html", settings=SETTINGS, seed=0)
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert hostile not in page
    assert "\\u003c/script x" in page


def test_another_seed_draws_other_rows() -> None:
    one, other = (
        verdicts(draw_window(0, rows=3_000), draw_window(1, rows=3_000), seed=seed)["user_vectors"] for seed in range(2)
    )
    assert one.p_value != other.p_value
