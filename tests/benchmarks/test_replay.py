"""The replay: its shop, its log on the shop's clock, and what its page says of whatever was done."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from benchmarks.monitoring.page import write_page
from benchmarks.replay.client import keep_day
from benchmarks.replay.page import PICTURE
from benchmarks.replay.records import Day, First, Refusal, Repeated, Replay, Trained, WayBack, keep
from benchmarks.replay.shop import Shop, make_shop, to_seconds

BEGIN, EVENT = date(2024, 3, 1), date(2024, 3, 4)
ITEMS = [f"i{number}" for number in range(40)]


@pytest.fixture(scope="module")
def shop() -> Shop:
    rows = [
        (f"u{user}", ITEMS[(user + 3 * day + step) % 40], to_seconds(date(2024, 2, 28)) + 86_400 * day + 60 * step)
        for user in range(20)
        for day in range(8)
        for step in range(4)
    ]
    interactions = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    titles = pl.DataFrame({"item_id": ITEMS, "title": [f"thing {item}" for item in ITEMS]})
    return make_shop(titles, interactions, begin=date(2024, 2, 28), event=EVENT)


def test_new_numbers_begin_with_the_event_under_the_same_titles(shop: Shop) -> None:
    new = shop.interactions.filter(pl.col("item_id").str.ends_with("-N"))
    assert 0 < new.height < shop.interactions.height
    assert new["timestamp"].min() >= to_seconds(EVENT)  # type: ignore[operator]
    titles = dict(shop.items.iter_rows())
    assert all(titles[item] == titles[item.removesuffix("-N")] for item in new["item_id"])


def test_a_visit_is_asked_for_with_what_came_before_and_judged_by_what_came_after(shop: Shop) -> None:
    visits = shop.list_visits(BEGIN)
    assert len({visit.user for visit in visits}) == len(visits) > 0
    for visit in visits:
        assert visit.after
        assert not visit.after & set(visit.before)
        assert visit.moment.date() == BEGIN
    assert visits == shop.list_visits(BEGIN)
    assert shop.list_visits(date(2024, 6, 1)) == []


def test_a_data_folder_knows_nothing_of_the_days_after_and_a_broken_one_keeps_its_popularity(
    shop: Shop, tmp_path: Path
) -> None:
    shop.write(tmp_path / "whole", until=BEGIN)
    shop.write(tmp_path / "broken", until=BEGIN, shuffled=True)
    whole, broken = (pl.read_parquet(tmp_path / name / "interactions.parquet") for name in ("whole", "broken"))
    assert whole["timestamp"].max() < to_seconds(date(2024, 3, 2))  # type: ignore[operator]
    assert not whole["item_id"].str.ends_with("-N").any()
    known = pl.read_parquet(tmp_path / "whole" / "items.parquet")["item_id"]
    assert set(whole["item_id"]) == set(known)
    assert broken["item_id"].to_list() != whole["item_id"].to_list()
    assert sorted(broken["item_id"]) == sorted(whole["item_id"])
    ends = [part.group_by("user_id", maintain_order=True).tail(3) for part in (whole, broken)]
    assert ends[0].equals(ends[1])


def test_only_the_days_records_are_kept_at_the_moments_of_the_shop(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = [
        {"kind": "answer", "recommendation_id": "a", "time": "2031-01-01T00:00:00Z"},
        {"kind": "answer", "recommendation_id": "other", "time": "2031-01-01T00:00:00Z"},
        {"kind": "feedback", "recommendation_id": "a", "time": "2031-01-01T00:00:01Z"},
    ]
    half = '{"kind": "answer", "recommen'
    text = "".join(json.dumps(line) + "\n" for line in lines) + half
    (raw / "traffic-1.jsonl").write_text(text, encoding="utf-8")
    moment = datetime(2024, 3, 1, 9, tzinfo=UTC)
    file = keep_day(raw, tmp_path / "log", day=BEGIN, moments={"a": moment})
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [record["kind"] for record in found] == ["answer", "feedback"]
    assert {record["time"] for record in found} == {moment.isoformat()}


def made_up_day(number: int, *, retraining: Trained | None = None, model: str = "a" * 16) -> Day:
    return Day(
        day=date(2024, 3, number),
        model=model,
        lists=60,
        taken=20,
        hit_rate=None if number == 1 else (0.3, 0.2, 0.4),
        verdict="watch" if retraining is None else "retrain",
        reasons=("Column a | b has drifted.",),
        drift=0.1,
        drifted="a | b",
        unknown_share=0.01,
        retraining=retraining,
        seconds=10,
    )


def test_the_page_says_what_was_done_and_nothing_of_what_was_not(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    trained = Trained(run_id="7", said="Run 7 trained a model, fit to serve.", champion="b" * 16)
    days = (made_up_day(1), made_up_day(2, retraining=trained), made_up_day(3, model="b" * 16))
    found = Replay(event=date(2024, 3, 2), first=First(run_id="1", version="a" * 16, seconds=9), days=days)
    keep(found, work / "replay" / "result.json")
    page = write_page(work, folder=out).read_text(encoding="utf-8")
    figures = json.loads((out / "monitoring.json").read_text(encoding="utf-8"))["figures"]
    assert figures == {"replay_retrains": 1}
    assert "Planted shifts" not in page
    assert f"]({PICTURE})" in page
    ET.fromstring((out / PICTURE).read_text(encoding="utf-8"))  # noqa: S314 - drawn here

    more = {
        "refusal": Refusal(run_id="9", refused=True, reasons=("NDCG@10 may be worse.",)),
        "way_back": WayBack(from_version="b" * 16, to_version="a" * 16, users=100, same=100, changed=80),
        "repeated": Repeated(version="a" * 16, same=True, said="SAME: so it is."),
    }
    keep(found.model_copy(update=more), work / "replay" / "result.json")
    page = write_page(work, folder=out).read_text(encoding="utf-8")
    figures = json.loads((out / "monitoring.json").read_text(encoding="utf-8"))["figures"]
    assert figures == {
        "replay_retrains": 1,
        "replay_broken_challenger_refused": 1,
        "replay_rollback_same_lists": 1.0,
        "reproduce_same_weights": 1,
    }
    assert "100 of 100 people got exactly the lists of before" in page
    assert "SAME: so it is." in page
