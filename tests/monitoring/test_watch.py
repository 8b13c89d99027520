"""From a log or a table to the verdict: what is wrong is found, what is right raises nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from learn.config.settings import Settings
from learn.errors import DriftError, SettingsError
from learn.monitoring.profile import read_profile, write_profile
from learn.monitoring.requests import Sizes, read_table_runs, sample_logged_requests, simulate_requests
from learn.monitoring.verdict import MonitorResult
from learn.monitoring.watch import choose_source, parse_window_begin, read_source
from learn.monitoring.watch import monitor as watch
from learn.traffic.reader import read_traffic
from learn.traffic.records import AnswerRecord, FeedbackRecord
from tests.monitoring.synthetic_traffic import (
    ITEMS,
    SETTINGS,
    Shop,
    changed,
    clicks,
    draw_interactions,
    requests_of,
    write_log,
)


def watched(
    shop: Shop, folder: Path, *records: AnswerRecord | FeedbackRecord, settings: Settings = SETTINGS, **window: str
) -> MonitorResult:
    read = read_source(write_log(folder / "log", *records), folder / "read", settings=settings, **window)
    return watch(read, shop.profile, shop.model, run_id="7", reports=folder / "reports", settings=settings)


def rules(found: MonitorResult) -> set[str]:
    return {reason.rule for reason in found.verdict.reasons}


def table_folder(folder: Path, items: pl.DataFrame, interactions: pl.DataFrame) -> Path:
    folder.mkdir()
    items.write_csv(folder / "items.csv")
    interactions.write_csv(folder / "interactions.csv")
    return folder


def test_exactly_one_source_must_be_named() -> None:
    for named in (("", ""), ("log", "table")):
        with pytest.raises(SettingsError, match="Name one folder"):
            choose_source(*named)
    with pytest.raises(SettingsError, match="one begin"):
        parse_window_begin("2026-01-01", days=3)


def test_a_moment_that_is_none_is_refused(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`soon` is no date"):
        watched(shop, tmp_path, *requests_of(shop, seed=1, count=5), since="soon")


def test_a_missing_a_damaged_and_a_foreign_profile_are_refused(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(DriftError, match="no reference profile"):
        read_profile(tmp_path)
    folder = write_profile(tmp_path / "profile", shop.profile)
    with pytest.raises(DriftError, match="another model"):
        read_profile(folder, weights_sha256="f" * 64)
    facts = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
    (folder / "profile.json").write_text(json.dumps({**facts, "format": 2}), encoding="utf-8")
    with pytest.raises(DriftError, match="has layout 2; this version of LEARN reads 1"):
        read_profile(folder)
    (folder / "requests.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DriftError, match="cannot be read"):
        read_profile(folder)


def test_a_profile_reads_back_as_it_was_written_and_is_the_same_bytes_again(shop: Shop, tmp_path: Path) -> None:
    folders = [write_profile(tmp_path / name, shop.profile) for name in ("one", "two")]
    back = read_profile(folders[0], weights_sha256=shop.model.weights_sha256)
    assert back.facts == shop.profile.facts
    for name in ("requests", "items"):
        assert getattr(back.view, name).equals(getattr(shop.profile.view, name))
    assert back.popularity.equals(shop.profile.popularity)
    np.testing.assert_array_equal(back.view.user_vectors, shop.profile.view.user_vectors)
    assert not [
        file.name for file in folders[0].iterdir() if file.read_bytes() != (folders[1] / file.name).read_bytes()
    ]


def test_the_shops_own_traffic_is_ok(shop: Shop, tmp_path: Path) -> None:
    answers = requests_of(shop, seed=2)
    found = watched(shop, tmp_path, *answers, *clicks(answers, chance=lambda _: 0.3))
    assert found.verdict.level == "ok", found.verdict
    assert found.verdict.exit_code == 0
    assert {column.name for column in found.findings.columns if column.status == "tested"} >= {
        "history_length",
        "category",
        "item_popularity",
        "title_oddness",
        "unknown_items",
        "item_vectors",
        "user_vectors",
        "top_score",
        "coverage",
        "concentration",
        "shown_items",
    }


def test_a_log_without_answers_in_the_window_is_an_alarm(shop: Shop, tmp_path: Path) -> None:
    found = watched(shop, tmp_path, *requests_of(shop, seed=2, count=20), since="2027-01-01")
    assert (found.verdict.level, rules(found)) == ("alarm", {"silent"})
    assert found.report.is_file()


def test_too_little_traffic_is_watched_and_says_so(shop: Shop, tmp_path: Path) -> None:
    found = watched(shop, tmp_path, *changed(requests_of(shop, seed=2, count=60), fallback="no_known_item"))
    assert (found.verdict.level, rules(found)) == ("watch", {"too_few"})


def test_unknown_items_call_for_a_retraining(shop: Shop, tmp_path: Path) -> None:
    answers = [each.model_copy(update={"unknown_items": 1}) for each in requests_of(shop, seed=3)]
    found = watched(shop, tmp_path, *answers)
    assert (found.verdict.level, found.verdict.exit_code) == ("retrain", 3)
    assert "unknown_items" in rules(found)


BREAKS = {
    "everybody gets popularity": {"fallback": "no_known_item"},
    "everybody gets one list": {"items": ("i1", "i2", "i3", "i4", "i5")},
    "scores of another model": {"scores": (30.0, 20.0, 10.0, 5.0, 1.0)},
}


@pytest.mark.parametrize("fields", BREAKS.values(), ids=BREAKS)
def test_a_broken_service_is_an_alarm(shop: Shop, tmp_path: Path, fields: dict[str, object]) -> None:
    found = watched(shop, tmp_path, *changed(requests_of(shop, seed=4), **fields))
    assert (found.verdict.level, found.verdict.exit_code) == ("alarm", 4)
    assert "prediction_drift" in rules(found)


def test_of_a_log_the_newest_known_item_speaks_and_the_shadow_does_not(shop: Shop, tmp_path: Path) -> None:
    (shown,) = requests_of(shop, seed=1, count=1)
    shown = shown.model_copy(update={"history": ("i3", "i7", "?"), "history_length": 3, "unknown_items": 1})
    shadows = [shown.model_copy(update={"arm": "shadow", "user": f"s{n}", "recommendation_id": f"s{n}"}) for n in "ab"]
    read = read_traffic(write_log(tmp_path / "log", *shadows, shown), tmp_path / "read")
    sizes = Sizes(rows=10, vectors=10, k=5)
    view = sample_logged_requests("log", read, shop.model, sizes=sizes, seed=0)
    assert view.requests.select("history_length", "unknown_items", "item_id").rows() == [(3, 1, "i7")]
    assert view.unknown_share == pytest.approx(1 / 3)


def test_a_simulated_request_knows_what_came_before_it_and_not_what_was_chosen(shop: Shop) -> None:
    chosen = ["i3", "i7", "i9"]
    rows = [{"user_id": user, "item_id": item, "timestamp": time} for user in "ab" for time, item in enumerate(chosen)]
    runs = read_table_runs(pl.DataFrame(rows), shop.model, since=2)
    sizes = Sizes(rows=10, vectors=10, k=ITEMS - 2)
    view = simulate_requests("table", runs, shop.model, items=shop.items, sizes=sizes, seed=0)
    for request in view.requests.iter_rows(named=True):
        assert (request["history_length"], request["unknown_items"], request["item_id"]) == (2, 0, "i9")
        assert set(request["items"]) == set(shop.items["item_id"]) - {"i3", "i7"}


@pytest.mark.parametrize("fields", [{"model_version": "v2"}, {"filtered": True}])
def test_answers_of_another_model_and_filtered_ones_say_nothing_of_this_models_scores(
    shop: Shop, tmp_path: Path, fields: dict[str, object]
) -> None:
    found = watched(shop, tmp_path, *changed(requests_of(shop, seed=4), **fields))
    column = {each.name: each for each in found.findings.columns}["top_score"]
    assert column.status == "absent"


def test_one_busy_user_weighs_as_much_as_any_other(shop: Shop, tmp_path: Path) -> None:
    answers = requests_of(shop, seed=5)
    busy = answers[0]
    again = [busy.model_copy(update={"recommendation_id": f"again{number}"}) for number in range(3_000)]
    found = watched(shop, tmp_path, *answers, *again)
    assert found.verdict.level == "ok", found.verdict
    assert found.findings.traffic.compared == len({each.user for each in answers})


def test_a_fallen_hit_rate_calls_for_action(shop: Shop, tmp_path: Path) -> None:
    answers = requests_of(shop, seed=6)
    events = clicks(answers, chance=lambda each: 0.5 if each.time.day < 5 else 0.1)
    found = watched(shop, tmp_path, *answers, *events)
    assert (found.verdict.level, "live_quality" in rules(found)) == ("alarm", True)


def test_a_risen_hit_rate_is_no_reason_for_anything(shop: Shop, tmp_path: Path) -> None:
    answers = requests_of(shop, seed=6)
    events = clicks(answers, chance=lambda each: 0.1 if each.time.day < 5 else 0.5)
    found = watched(shop, tmp_path, *answers, *events)
    feedback = found.findings.feedback
    assert feedback is not None
    assert feedback.recent is not None
    assert feedback.recent.p_adjusted < 1e-6
    assert (found.verdict.level, "live_quality" in rules(found)) == ("ok", False)


def test_a_worse_challenger_is_an_alarm_a_better_one_is_told_and_a_broken_split_voids_both(
    shop: Shop, tmp_path: Path
) -> None:
    challenger = {"arm": "challenger", "model_version": "v2"}
    answers = [
        each.model_copy(update=challenger) if int(str(each.user)[1:]) % 2 else each
        for each in requests_of(shop, seed=7)
    ]
    levels = {}
    for name, second, share in (("worse", 0.1, 0.5), ("better", 0.7, 0.5), ("split", 0.7, 0.2)):
        chances = {"champion": 0.4, "challenger": second}
        events = clicks(answers, chance=lambda each, chances=chances: chances[each.arm])  # type: ignore[misc]
        planned = [each.model_copy(update={"challenger_share": share}) for each in answers]
        found = watched(shop, tmp_path / name, *planned, *events, settings=SETTINGS)
        levels[name] = {(reason.rule, reason.level) for reason in found.verdict.reasons}
    assert ("challenger", "alarm") in levels["worse"]
    assert ("challenger", "ok") in levels["better"]
    assert ("sample_ratio", "alarm") in levels["split"]
    assert not {rule for rule, _ in levels["split"]} & {"challenger"}


def test_a_table_that_goes_on_as_before_is_ok_and_its_window_begins_after_training(shop: Shop, tmp_path: Path) -> None:
    more = draw_interactions(np.random.default_rng(9), users=700, first_day=21, name="u")
    folder = table_folder(tmp_path / "table", shop.items, pl.concat([shop.interactions, more]))
    read = read_source(folder, tmp_path / "read", settings=SETTINGS)
    found = watch(read, shop.profile, shop.model, run_id="7", reports=tmp_path, settings=SETTINGS)
    assert found.findings.traffic.requests == more.height
    assert found.findings.traffic.kind == "table"
    # Histories have grown by a whole second window, which is drift, and nothing else has changed.
    drifted = {column.name for column in found.findings.columns if column.drifted}
    assert "history_length" in drifted
    assert not drifted & {"category", "title_oddness", "item_popularity", "item_vectors", "unknown_items"}


def test_of_an_item_that_a_table_describes_twice_the_first_row_counts(shop: Shop, tmp_path: Path) -> None:
    more = draw_interactions(np.random.default_rng(9), users=200, first_day=21, name="u")
    again = shop.items.with_columns(title=pl.lit("qxzj vwkp"), category=pl.lit("elsewhere"))
    folder = table_folder(tmp_path / "table", pl.concat([shop.items, again]), pl.concat([shop.interactions, more]))
    read = read_source(folder, tmp_path / "read", settings=SETTINGS)
    found = watch(read, shop.profile, shop.model, run_id="7", reports=tmp_path, settings=SETTINGS)
    tested = {column.name: column.drifted for column in found.findings.columns if column.status == "tested"}
    assert (tested["category"], tested["title_oddness"]) == (False, False)


def test_the_window_of_a_table_begins_with_its_first_moment_and_ends_before_its_last(
    shop: Shop, tmp_path: Path
) -> None:
    more = draw_interactions(np.random.default_rng(9), users=60, first_day=21, name="u")
    rounded = more.with_columns(pl.col("timestamp").round()).unique("timestamp").sort("timestamp")
    folder = table_folder(tmp_path / "table", shop.items, rounded)
    since, until = (str(rounded["timestamp"][row]) for row in (100, 300))
    read = read_source(folder, tmp_path / "read", settings=SETTINGS, since=since, until=until)
    found = watch(read, shop.profile, shop.model, run_id="7", reports=tmp_path, settings=SETTINGS)
    assert found.findings.traffic.requests == 200


def test_new_items_in_a_table_are_described_and_call_for_a_retraining(shop: Shop, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    more = draw_interactions(rng, users=400, first_day=21, name="n")
    new = pl.DataFrame(
        {
            "item_id": [f"n{number}" for number in range(160)],
            "title": ["".join(rng.choice(list("qxzjvwkpbd"), 20)) for _ in range(160)],
            "category": "Energy",
        }
    )
    fresh = pl.Series([f"n{number}" for number in rng.integers(0, 160, more.height)])
    mixed = more.with_columns(
        item_id=pl.when(pl.Series(rng.random(more.height) < 0.2)).then(fresh).otherwise("item_id")
    )
    folder = table_folder(tmp_path / "table", pl.concat([shop.items, new]), pl.concat([shop.interactions, mixed]))
    read = read_source(folder, tmp_path / "read", settings=SETTINGS)
    found = watch(read, shop.profile, shop.model, run_id="7", reports=tmp_path, settings=SETTINGS)
    drifted = {column.name for column in found.findings.columns if column.drifted}
    assert {"category", "unknown_items", "title_oddness", "new_items_title_oddness"} <= drifted
    assert "unknown_items" in rules(found)


def test_the_page_is_whole_small_loads_nothing_and_is_the_same_again(shop: Shop, tmp_path: Path) -> None:
    answers = requests_of(shop, seed=8)
    hostile = "<script>alert(1)</script>"
    answers[0] = answers[0].model_copy(update={"model_version": hostile})
    events = list(clicks(answers, chance=lambda _: 0.3))
    pages = []
    for name in ("one", "two"):
        found = watched(shop, tmp_path / name, *answers, *events)
        pages.append(found.report.read_text(encoding="utf-8"))
    assert pages[0] == pages[1]
    assert len(pages[0].encode()) < 5_000_000
    assert hostile not in pages[0]
    assert "default-src 'none'" in pages[0]
    assert not re.search(r"<script[^>]+src", pages[0])
    message = json.loads(found.verdict_file.read_text(encoding="utf-8"))
    assert message["verdict"] == found.verdict.level
    assert message["run_id"] == "7"
    assert len(message["findings"]["columns"]) == len(found.findings.columns)
