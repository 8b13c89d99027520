"""Validation: every bad row is found and kept, every bad table stops the run, and nothing is lost on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learn.config.data import DataSettings, ValidationSettings
from learn.data.tables import load_tables
from learn.data.timestamps import read_timestamp_scale
from learn.data.validation import derived_columns as check_columns
from learn.data.validation.derived_columns import InteractionFacts, collect_interaction_facts, find_repeats
from learn.data.validation.expectations import list_interaction_checks
from learn.data.validation.validate import ValidationSummary, validate_tables
from learn.errors import DataError, InvalidDataError, SettingsError, StorageError
from tests.real_data import REAL

DAY = 86_400.0
START = 1_600_000_000.0

Rows = list[dict[str, Any]]


def sound_items(count: int = 40) -> Rows:
    return [{"item_id": f"i{n}", "title": f"Silver spoon, size {n}", "brand": "Acme"} for n in range(count)]


def sound_interactions(users: int = 20, each: int = 5, items: int = 40) -> Rows:
    return [
        {"user_id": f"u{u}", "item_id": f"i{(u * 3 + n) % items}", "timestamp": START + DAY * n}
        for u in range(users)
        for n in range(each)
    ]


def write(folder: Path, items: Rows, interactions: Rows) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    texts = dict.fromkeys((name for row in items for name in row), pl.String)
    schema = {"item_id": pl.String, "title": pl.String, **texts}
    _with_rows(pl.DataFrame(items, schema=schema)).write_parquet(folder / "items.parquet")
    names = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Float64, "timestamp_text": pl.String}
    more = {name: pl.String for row in interactions for name in row if name not in names}
    _with_rows(pl.DataFrame(interactions, schema={**names, **more})).write_parquet(folder / "interactions.parquet")
    return folder


def _with_rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), pl.all())


def validate(root: Path, items: Rows, interactions: Rows, **changes: Any) -> ValidationSummary:
    tables = write(root / "raw", items, interactions)
    return validate_tables(
        tables, root / "valid", report=root / "reports" / "validation.html", settings=ValidationSettings(**changes)
    )


def stopped(root: Path, items: Rows, interactions: Rows, **changes: Any) -> str:
    with pytest.raises(InvalidDataError) as caught:
        validate(root, items, interactions, **changes)
    assert not (root / "valid").exists() or list((root / "valid").iterdir()) == []
    assert sorted(path.name for path in (root / "reports").iterdir()) == ["quarantine.parquet", "validation.html"]
    report = (root / "reports" / "validation.html").read_text(encoding="utf-8")
    assert "The run stopped here" in report
    return str(caught.value)


def reasons(summary: ValidationSummary, table: str) -> dict[int, list[str]]:
    found = pl.read_parquet(summary.quarantine).filter(pl.col("table") == table)
    return {row: sorted(names) for row, names in found.select("row", "reasons").iter_rows()}


DAY = 86_400


def build_days(pieces: int) -> Rows:
    """Interactions by day; the first ones have two rows."""
    rows = [
        {"user_id": f"u{n % 20}", "item_id": f"i{n % 40}", "timestamp": START // DAY * DAY + n * DAY}
        for n in range(100)
    ]
    return [*rows, *rows[:pieces]]


def test_a_second_piece_on_one_day_is_kept_with_a_warning(tmp_path: Path) -> None:
    summary = validate(tmp_path, sound_items(), build_days(30))
    assert summary.interactions.valid == 130
    (check,) = [check for check in summary.interactions.checks if check.name == "interaction_duplicate"]
    assert (check.severity, check.failing, check.passed) == ("warning", 30, False)


def test_a_table_by_day_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    assert "interaction_duplicate" in stopped(tmp_path, sound_items(), build_days(100))


def test_a_repeat_to_the_second_is_no_second_piece(tmp_path: Path) -> None:
    rows = [{**row, "timestamp": row["timestamp"] + 1} for row in build_days(3)]
    assert validate(tmp_path, sound_items(), rows).interactions.quarantined == 3


# --- Rows --------------------------------------------------------------------------------------------------


def test_sound_tables_pass_whole(tmp_path: Path) -> None:
    summary = validate(tmp_path, sound_items(), sound_interactions())
    assert (summary.items.valid, summary.items.quarantined) == (40, 0)
    assert (summary.interactions.valid, summary.interactions.quarantined) == (100, 0)
    assert all(check.passed for table in (summary.items, summary.interactions) for check in table.checks)
    assert sorted(path.name for path in summary.folder.iterdir()) == [
        "interactions.parquet", "items.parquet", "quarantine.parquet",
    ]  # fmt: skip
    assert pl.read_parquet(summary.folder / "interactions.parquet").columns == [
        "row", "user_id", "item_id", "timestamp",
    ]  # fmt: skip
    kept = pl.read_parquet(summary.folder / "items.parquet")
    assert kept.equals(pl.read_parquet(tmp_path / "raw" / "items.parquet"))


def test_every_fault_of_an_item_is_named(tmp_path: Path) -> None:
    bad: list[tuple[dict[str, Any], list[str]]] = [
        ({"item_id": None, "title": "Lamp"}, ["item_id_missing"]),
        ({"item_id": "  ", "title": "Red lamp"}, ["item_id_missing"]),
        ({"item_id": "b2", "title": None}, ["title_missing"]),
        ({"item_id": "b3", "title": "\t "}, ["title_missing"]),
        ({"item_id": "b4", "title": "Thrown away-rusty"}, ["title_placeholder"]),
        ({"item_id": "b5", "title": " N/A!"}, ["title_placeholder"]),
        ({"item_id": "b6", "title": "?", "brand": "none"}, ["title_placeholder"]),
        ({"item_id": "b7", "title": "<br><br>"}, ["title_markup"]),
        ({"item_id": "b8", "title": "CafÃ© set"}, ["title_mojibake"]),
        ({"item_id": "b9", "title": "Lamp", "brand": "x" * 500}, ["text_too_long"]),
    ]
    items = [*sound_items(), *(row for row, _ in bad)]
    summary = validate(tmp_path, items, sound_interactions(), max_quarantined_share=0.5, max_text_characters=300)
    assert reasons(summary, "items") == {40 + n: names for n, (_, names) in enumerate(bad)}
    assert reasons(summary, "interactions") == {}
    records = pl.read_parquet(summary.quarantine)
    assert records["key"].to_list() == [row["item_id"] for row, _ in bad]
    assert json.loads(records["record"][8]) == {"row": 48, "item_id": "b8", "title": "CafÃ© set", "brand": None}


def test_every_fault_of_an_interaction_is_named(tmp_path: Path) -> None:
    late = datetime.now(tz=UTC) + timedelta(days=3)
    bad: list[tuple[dict[str, Any], list[str]]] = [
        ({"user_id": None, "item_id": "i1", "timestamp": START}, ["user_id_missing"]),
        ({"user_id": "a", "item_id": " ", "timestamp": START}, ["item_id_missing"]),
        ({"user_id": "a", "item_id": "zz", "timestamp": START}, ["item_unknown"]),
        ({"user_id": "a", "item_id": "i1", "timestamp_text": "soon"}, ["timestamp_unreadable"]),
        ({"user_id": "a", "item_id": "i1", "timestamp": float("inf")}, ["timestamp_unreadable"]),
        ({"user_id": "a", "item_id": "i1", "timestamp": float("nan")}, ["timestamp_unreadable"]),
        ({"user_id": "a", "item_id": "i1", "timestamp": 0.0}, ["timestamp_out_of_range"]),
        ({"user_id": "a", "item_id": "i1", "timestamp": late.timestamp()}, ["timestamp_out_of_range"]),
        (sound_interactions()[0], ["interaction_duplicate"]),
        ({"user_id": "a", "item_id": "bad", "timestamp": START}, ["item_quarantined"]),
    ]
    items = [*sound_items(), {"item_id": "bad", "title": "unknown"}]
    summary = validate(tmp_path, items, [*sound_interactions(), *(row for row, _ in bad)], max_quarantined_share=0.5)
    assert reasons(summary, "interactions") == {100 + n: names for n, (_, names) in enumerate(bad)}
    assert (summary.interactions.quarantined, summary.interactions.followed) == (10, 1)
    assert summary.interactions.share == pytest.approx(10 / 110)


def test_what_is_quarantined_is_not_valid_and_the_other_rows_are_as_they_were(tmp_path: Path) -> None:
    items = [*sound_items(), {"item_id": "bad", "title": "unknown"}, {"item_id": "late", "title": "Late lamp"}]
    unread = {"user_id": "u1", "item_id": "i2", "timestamp_text": "soon"}
    rows = [unread, *sound_interactions(), {"user_id": "u1", "item_id": "bad", "timestamp": START}]
    summary = validate(tmp_path, items, rows, max_quarantined_share=0.5)
    kept = {name: pl.read_parquet(summary.folder / f"{name}.parquet") for name in ("items", "interactions")}
    assert kept["items"]["row"].to_list() == [*range(40), 41]
    assert kept["interactions"]["row"].to_list() == list(range(1, 101))
    for name, table in kept.items():
        raw = pl.read_parquet(tmp_path / "raw" / f"{name}.parquet")
        assert table.equals(raw[table["row"]].select(table.columns))
    assert [(each.rows, each.valid, each.quarantined) for each in (summary.items, summary.interactions)] == [
        (42, 41, 1),
        (102, 100, 2),
    ]


def test_warnings_quarantine_nothing(tmp_path: Path) -> None:
    items = sound_items(10)
    items[0]["title"] = "Disk Â® 250G"
    items[1]["title"] = items[2]["title"] = items[3]["title"]
    items[4]["title"], items[5]["title"] = "чайник красный", "набор для кухни"
    summary = validate(tmp_path, items, sound_interactions(items=10), max_duplicate_text_share=0.1)
    found = {check.name: (check.failing, check.passed) for check in summary.items.checks if check.failing}
    assert found == {"title_stray_mark": (1, False), "text_duplicate": (2, False), "title_other_script": (2, False)}
    assert summary.items.quarantined == 0


SHORT = ["It", "Up", "M", "9", "Z", "iQ", "Lost", "Error", "throw away the bread machine instructions"]


def count_warnings(summary: ValidationSummary) -> dict[str, int]:
    return {
        check.name: check.failing for check in summary.items.checks if check.severity == "warning" and check.failing
    }


def test_short_true_titles_and_notes_are_warned_of_and_stay(tmp_path: Path) -> None:
    items: Rows = [*sound_items(), *({"item_id": title, "title": title} for title in SHORT)]
    rows = [{"user_id": f"u{n}", "item_id": title, "timestamp": START} for n in range(9) for title in SHORT]
    summary = validate(tmp_path, items, [*sound_interactions(), *rows])
    assert (summary.items.quarantined, summary.interactions.quarantined) == (0, 0)
    assert count_warnings(summary) == {"title_doubtful": 3, "title_too_short": 6}


@pytest.mark.parametrize("title", [None, " ", "n/a", "Unknown", "?", "thrown away-rusty"])
@pytest.mark.parametrize("field", ["brand", "category", "genres", "description"])
def test_an_item_whose_other_fields_hold_text_stays(tmp_path: Path, title: str | None, field: str) -> None:
    items: Rows = [*sound_items(), {"item_id": "x", "title": title, field: "Comedy"}]
    summary = validate(tmp_path, items, sound_interactions())
    assert summary.items.quarantined == 0
    assert count_warnings(summary)["title_doubtful"] == 1


def test_lists_count_as_the_text_that_they_hold(tmp_path: Path) -> None:
    tables = write(tmp_path / "raw", sound_items(), sound_interactions())
    lists = pl.Series("category", [["Home", f"Shelf {n}"] for n in range(38)] + [["x" * 200, "y" * 200], None])
    items = pl.read_parquet(tables / "items.parquet").with_columns(lists, title=pl.lit("n/a"))
    items.write_parquet(tables / "items.parquet")
    settings = ValidationSettings(max_text_characters=300, max_quarantined_share=1)
    summary = validate_tables(tables, tmp_path / "valid", report=tmp_path / "r.html", settings=settings)
    assert reasons(summary, "items") == {38: ["text_too_long"]}
    kept = pl.read_parquet(summary.folder / "items.parquet")
    assert kept["category"].to_list() == [*lists.to_list()[:38], None]
    assert count_warnings(summary) == {"title_doubtful": 40}


def test_a_note_of_staff_goes_only_where_nobody_used_the_item(tmp_path: Path) -> None:
    notes = [{"item_id": "a", "title": "Thrown away-rusty"}, {"item_id": "b", "title": "Thrown away-rusty"}]
    rows = [*sound_interactions(), {"user_id": "u1", "item_id": "a", "timestamp": START}]
    assert reasons(validate(tmp_path, [*sound_items(), *notes], rows), "items") == {41: ["title_placeholder"]}


def test_items_without_a_title_repeat_no_text(tmp_path: Path) -> None:
    items = [
        *sound_items(),
        *({"item_id": f"none{n}", "title": title} for n, title in enumerate([None, None, " ", " "])),
    ]
    summary = validate(tmp_path, items, sound_interactions(), max_quarantined_share=0.5)
    found = {check.name: check.failing for check in summary.items.checks if check.failing}
    assert found == {"title_missing": 4}


def facts_of(rows: Rows, folder: Path, **changes: Any) -> InteractionFacts:
    tables = write(folder, sound_items(), rows)
    ids = pl.Series([f"i{n}" for n in range(40)])
    return collect_interaction_facts(
        pl.scan_parquet(tables / "interactions.parquet"),
        item_ids=ids,
        rejected_ids=ids.head(0),
        scale=read_timestamp_scale(tables / "interactions.parquet"),
        settings=ValidationSettings(**changes),
        scratch=folder,
    )


def test_the_same_moment_with_another_event_is_no_duplicate(tmp_path: Path) -> None:
    seen = [{**row, "event": "view"} for row in sound_interactions()]
    bought = [{**row, "event": None} for row in sound_interactions()]
    facts = facts_of([*seen, *bought, bought[3], seen[4]], tmp_path)
    assert sorted(facts.repeated.rows()) == [(200, 103), (201, 4)]


@given(
    keys=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "b", "ab"]), st.sampled_from([0.0, 1.0, None])))
)
@settings(max_examples=40, deadline=None)
def test_repeats_are_the_rows_that_an_earlier_row_tells(
    keys: list[tuple[str, str, float | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = pl.DataFrame(keys, schema={"a": pl.String, "b": pl.String, "c": pl.Float64}, orient="row")
    scratch = tmp_path_factory.mktemp("scratch")
    found = find_repeats(_with_rows(table).lazy(), ["a", "b", "c"], scratch=scratch, bucket_rows=3).sort("row").rows()
    assert found == [(n, keys.index(key)) for n, key in enumerate(keys) if None not in key and key in keys[:n]]


@pytest.mark.parametrize(("factor", "unit"), [(1, "seconds"), (1e3, "milliseconds"), (1e6, "microseconds")])
def test_the_range_is_in_the_unit_of_the_timestamps(tmp_path: Path, factor: float, unit: str) -> None:
    rows = [{**row, "timestamp": row["timestamp"] * factor} for row in sound_interactions()]
    facts = facts_of(rows, tmp_path, earliest="1995-01-01", latest="2020-12-31")
    assert facts.scale.unit == unit
    assert facts.earliest == datetime(1995, 1, 1, tzinfo=UTC).timestamp() * factor
    # The last day counts whole.
    assert facts.latest == pytest.approx(datetime(2021, 1, 1, tzinfo=UTC).timestamp() * factor, rel=1e-8)
    assert facts.latest is not None
    assert facts.latest < datetime(2021, 1, 1, tzinfo=UTC).timestamp() * factor


def test_positions_are_an_order_and_have_no_range(tmp_path: Path) -> None:
    rows = [{**row, "timestamp": float(n)} for n, row in enumerate(sound_interactions())]
    facts = facts_of(rows, tmp_path)
    assert (facts.scale.unit, facts.earliest, facts.latest) == ("order", None, None)
    assert "timestamp_out_of_range" not in {check.name for check in list_interaction_checks(facts)}


def test_batches_give_the_same_as_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = sound_items()
    items[3] |= {"title": "n/a", "brand": None}
    items[30]["title"] = items[2]["title"]
    rows = [*sound_interactions(), *sound_interactions()[:3]]
    whole = validate(tmp_path / "whole", items, rows, max_quarantined_share=0.5)
    monkeypatch.setattr(check_columns, "BATCH_ROWS", 60)
    pieces = validate(tmp_path / "pieces", items, rows, max_quarantined_share=0.5)
    assert pieces.items == whole.items
    assert pieces.interactions == whole.interactions
    for name in ("items", "interactions", "quarantine"):
        assert pl.read_parquet(pieces.folder / f"{name}.parquet").equals(
            pl.read_parquet(whole.folder / f"{name}.parquet")
        )


_IDS = st.sampled_from(["i0", "i1", "i2", "i3", "", "zz"]) | st.none()
_TITLES = (
    st.sampled_from(["Red lamp", "damaged", "n/a", "?", "<br>", "CafÃ©", "Blue lamp"]) | st.none() | st.text(max_size=6)
)
_TIMES = st.sampled_from([START, START + 1, 0.0, 1e18, float("nan")]) | st.none()


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(_TITLES, min_size=1, max_size=40),
    st.lists(st.tuples(st.sampled_from(["a", "b"]) | st.none(), _IDS, _TIMES), min_size=20, max_size=80),
)
def test_every_row_ends_in_one_place(
    titles: list[str | None], told: list[tuple[str | None, str | None, float]]
) -> None:
    items = [{"item_id": f"i{n}", "title": title} for n, title in enumerate(titles)]
    rows = [dict(zip(("user_id", "item_id", "timestamp"), row, strict=True)) for row in told]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        try:
            summary = validate(root, items, rows, max_quarantined_share=1.0)
        except InvalidDataError:
            kept = pl.read_parquet(root / "reports" / "quarantine.parquet")
            assert kept.select("table", "row").is_unique().all()
            return
        quarantine = pl.read_parquet(summary.quarantine)
        for table, count in (("items", len(items)), ("interactions", len(rows))):
            valid = pl.read_parquet(summary.folder / f"{table}.parquet")["row"].to_list()
            held = quarantine.filter(pl.col("table") == table)["row"].to_list()
            assert sorted([*valid, *held]) == list(range(count))
            assert valid == sorted(valid)
        assert quarantine["reasons"].list.len().min() != 0


# --- Stops -------------------------------------------------------------------------------------------------


def test_two_items_with_one_id_stop_the_run(tmp_path: Path) -> None:
    items = sound_items()
    items[7]["item_id"] = "i3"
    message = stopped(tmp_path, items, sound_interactions(items=7))
    assert "Two items have the id `i3`: rows 3 and 7" in message
    assert "items.parquet" in message


def test_too_many_bad_items_stop_the_run(tmp_path: Path) -> None:
    items = sound_items()
    for n, title in enumerate(["n/a", "?", "Unknown", "CafÃ© set"]):
        items[n] |= {"title": title, "brand": None}
    message = stopped(tmp_path, items, sound_interactions())
    assert "4 of 40 rows of the items failed their checks (10.0 %)" in message
    assert "`title_placeholder`" in message
    assert message.index("title_placeholder") < message.index("title_mojibake")
    assert len(re.findall(r"^  row \d", message, flags=re.MULTILINE)) == 3
    assert "validation.max_quarantined_share" in message
    held = pl.read_parquet(tmp_path / "reports" / "quarantine.parquet")
    assert held.filter(pl.col("table") == "items")["row"].to_list() == [0, 1, 2, 3]


def test_too_many_bad_interactions_stop_the_run(tmp_path: Path) -> None:
    strange = [{"user_id": "a", "item_id": f"x{n}", "timestamp": START} for n in range(10)]
    message = stopped(tmp_path, sound_items(), [*sound_interactions(), *strange])
    assert "10 of 110 rows of the interactions" in message
    assert "row 100, a / x0" in message


def test_numbers_that_are_no_dates_are_explained(tmp_path: Path) -> None:
    rows = [{**row, "timestamp": 700_000_000.0 + n} for n, row in enumerate(sound_interactions())]
    assert 'timestamps = "order"' in stopped(tmp_path / "auto", sound_items(), rows)
    # What the message advises works.
    assert validate(tmp_path / "order", sound_items(), rows, timestamps="order").interactions.quarantined == 0
    assert validate(tmp_path / "days", sound_items(), rows, earliest="1990-01-01").interactions.quarantined == 0


def test_no_valid_row_stops_the_run(tmp_path: Path) -> None:
    items = [{"item_id": f"i{n}", "title": "n/a"} for n in range(5)]
    message = stopped(tmp_path, items, sound_interactions(items=5), max_quarantined_share=1.0)
    assert "No row is valid" in message


def test_a_table_without_rows_stops_the_run(tmp_path: Path) -> None:
    assert "The table of interactions has no rows" in stopped(tmp_path, sound_items(), [])


def test_no_user_with_two_interactions_stops_the_run_and_nothing_old_stays(tmp_path: Path) -> None:
    (tmp_path / "valid").mkdir()
    (tmp_path / "valid" / "items.parquet").write_bytes(b"of an earlier run")
    message = stopped(tmp_path, sound_items(), sound_interactions(each=1))
    assert "no user with two interactions" in message


def test_users_who_have_one_valid_interaction_of_two_stop_the_run(tmp_path: Path) -> None:
    rows = [
        {"user_id": f"u{user}", "item_id": item, "timestamp": START + DAY}
        for user in range(9)
        for item in (f"i{user}", "unknown")
    ]
    assert "no user with two interactions" in stopped(tmp_path, sound_items(), rows, max_quarantined_share=1.0)


def test_a_few_items_that_hold_many_interactions_stop_the_run(tmp_path: Path) -> None:
    items = [*sound_items(), {"item_id": "gone", "title": "Unknown"}, {"item_id": "none", "title": None}]
    lost = [{"user_id": f"u{n}", "item_id": "gone", "timestamp": START} for n in range(8)]
    message = stopped(tmp_path, items, [*sound_interactions(), *lost, {**lost[0], "item_id": "none"}])
    assert "9 of 109 rows of the interactions failed their checks (8.3 %)" in message
    assert "9 interactions hang on 2 quarantined items" in message
    assert "`title_missing` (1), `title_placeholder` (1)" in message
    assert "`Unknown` (gone): 8, `` (none): 1" in message
    assert "interactions.parquet" in message


# --- Other faults ------------------------------------------------------------------------------------------


def test_tables_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table of items"):
        validate_tables(tmp_path, tmp_path / "v", report=tmp_path / "r.html", settings=ValidationSettings())
    assert list(tmp_path.iterdir()) == []


def test_a_bound_that_is_no_date(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="last year") as caught:
        validate(tmp_path, sound_items(), sound_interactions(), earliest="last year")
    assert caught.value.where == "validation.earliest"


def test_tables_are_not_overwritten_by_their_valid_rows(tmp_path: Path) -> None:
    tables = write(tmp_path / "raw", sound_items(), sound_interactions())
    with pytest.raises(SettingsError):
        validate_tables(tables, tables, report=tmp_path / "r.html", settings=ValidationSettings())


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"]
    if mount is None or subprocess.run([mount, *options, disk], check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_one_clear_error(tmp_path: Path, tiny_disk: Path) -> None:
    items = [{**row, "description": os.urandom(9_000).hex()} for row in sound_items()]
    tables = write(tmp_path / "raw", items, sound_interactions())
    with pytest.raises(StorageError, match="No space"):
        validate_tables(tables, tiny_disk / "valid", report=tmp_path / "r.html", settings=ValidationSettings())
    assert list(tiny_disk.iterdir()) == []


# --- The report --------------------------------------------------------------------------------------------


def test_the_report_is_whole_escaped_and_needs_no_network(tmp_path: Path) -> None:
    items = sound_items()
    items[0]["title"] = '<img src="https://evil.example/x.png" onerror="alert(1)">'
    items[1] |= {"item_id": "<script>alert(2)</script>", "title": "n/a", "brand": None}
    summary = validate(tmp_path, items, sound_interactions(), max_quarantined_share=0.5)
    html = summary.report.read_text(encoding="utf-8")
    assert "&lt;img src=" in html
    assert "&lt;script&gt;alert(2)" in html
    assert not re.search(r"<(?:img|script|link|iframe)\b|@import|url\(", html)
    for check in (*summary.items.checks, *summary.interactions.checks):
        assert check.name in html


# --- Real data ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "items", "interactions", "unit"),
    [
        ("scientific", {"title_mojibake": 1}, {"item_quarantined": 5}, "order"),
        ("games", {}, {}, "order"),
        ("online_retail", {"title_placeholder": 14}, {"interaction_duplicate": 10_127}, "seconds"),
    ],
)
def test_real_data_passes_as_it_is(
    tmp_path: Path, name: str, items: dict[str, int], interactions: dict[str, int], unit: str
) -> None:
    if not (REAL / name).is_dir():
        pytest.skip(f"there is no {REAL / name}")
    load_tables(REAL / name, tmp_path / "raw", settings=DataSettings())
    summary = validate_tables(
        tmp_path / "raw", tmp_path / "valid", report=tmp_path / "r.html", settings=ValidationSettings()
    )
    assert summary.timestamp_unit == unit
    for table, expected in ((summary.items, items), (summary.interactions, interactions)):
        found = {check.name: check.failing for check in table.checks if check.severity == "error" and check.failing}
        assert found == expected
        assert table.valid + table.quarantined == table.rows
