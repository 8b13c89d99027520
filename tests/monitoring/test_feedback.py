"""What feedback says: known values, intervals that hold, the A/B read-out and its guard."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn.config.monitoring import MonitoringSettings
from learn.monitoring.feedback import LiveFeedback, Sums, compare_rates, compute_rate, measure_feedback
from learn.traffic.reader import read_traffic
from learn.traffic.records import AnswerRecord, FeedbackRecord
from tests.monitoring.synthetic_traffic import NOW, write_log

CHALLENGER: dict[str, Any] = {"arm": "challenger", "model_version": "v2"}


def answer(number: int, user: str | None, *, day: int = 0, **fields: object) -> AnswerRecord:
    plain = AnswerRecord(
        time=NOW + timedelta(days=day),
        recommendation_id=f"r{number}",
        user=user,
        model_version="v1",
        history_length=0,
        items=("a", "b", "c", "d"),
        scores=(4.0, 3.0, 2.0, 1.0),
        k=4,
        latency_milliseconds=1.0,
    )
    return plain.model_copy(update=fields)


def event(number: int, item: str, kind: str = "clicked") -> FeedbackRecord:
    record = {"time": NOW, "recommendation_id": f"r{number}", "item_id": item, "event": kind}
    return FeedbackRecord.model_validate(record)


def measured(
    folder: Path, *records: AnswerRecord | FeedbackRecord, k: int = 3, share: float | None = None
) -> LiveFeedback:
    planned = [
        each.model_copy(update={"challenger_share": share}) if share and isinstance(each, AnswerRecord) else each
        for each in records
    ]
    read = read_traffic(write_log(folder / "log", *planned), folder / "read")
    found = measure_feedback(read, settings=MonitoringSettings(k=k))
    assert found is not None
    return found


def test_without_a_choice_there_is_nothing_to_say(tmp_path: Path) -> None:
    read = read_traffic(write_log(tmp_path / "log", answer(1, "u"), event(1, "a", "shown")), tmp_path / "read")
    assert measure_feedback(read, settings=MonitoringSettings()) is None


def test_figures_by_hand(tmp_path: Path) -> None:
    answers: list[AnswerRecord | FeedbackRecord] = [answer(number, f"u{number}") for number in range(4)]
    # r0: first and third item; r1: one beyond k and one not in the list; r2: bought what was clicked; r3: none.
    events = [event(0, "a"), event(0, "c"), event(1, "d"), event(1, "z"), event(2, "b"), event(2, "b", "bought")]
    found = measured(tmp_path, *answers, *events, event(99, "a"))
    (day,) = found.by_day
    assert day.hit_rate is not None
    assert day.recall is not None
    assert day.ndcg is not None
    assert day.hit_rate.value == pytest.approx(2 / 4)
    assert day.recall.value == pytest.approx((1 + 0 + 1) / 3)
    both = (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    assert day.ndcg.value == pytest.approx((both + 0 + 1 / math.log2(3) + 0) / 4)
    assert (found.lists, found.choices, found.unmatched) == (4, 6, 1)


def test_lists_that_nobody_was_shown_do_not_count(tmp_path: Path) -> None:
    records: list[AnswerRecord | FeedbackRecord] = [
        answer(1, "u"),
        answer(2, "v"),
        event(1, "a", "shown"),
        event(1, "a"),
    ]
    (day,) = measured(tmp_path, *records).by_day
    assert day.hit_rate is not None
    assert (day.hit_rate.value, day.hit_rate.lists) == (1, 1)


def test_the_shadow_and_answers_logged_twice_count_once(tmp_path: Path) -> None:
    shadow = answer(1, "u", arm="shadow", model_version="v2", items=("x", "y", "z", "w"))
    found = measured(tmp_path, answer(1, "u"), answer(1, "u"), shadow, event(1, "a"))
    assert [each.name for each in found.by_version] == ["v1 (champion)"]
    assert found.lists == 1


def test_feedback_counts_to_the_day_of_its_answer(tmp_path: Path) -> None:
    found = measured(tmp_path, answer(1, "u", day=0), answer(2, "v", day=1), event(2, "a"))
    assert [each.name for each in found.by_day] == ["2026-03-01", "2026-03-02"]
    assert [each.hit_rate.value for each in found.by_day if each.hit_rate] == [0, 1]


def _arms(
    *, people: int, lists: int, gain: float, seed: int, challenger: float = 0.5
) -> list[AnswerRecord | FeedbackRecord]:
    rng = np.random.default_rng(seed)
    records: list[AnswerRecord | FeedbackRecord] = []
    for person in range(people):
        second = rng.random() < challenger
        # People differ a lot, as real ones do: lists of one person are alike.
        taste = rng.beta(0.5, 2) + (gain if second else 0)
        for number in range(lists):
            key = person * lists + number
            records.append(answer(key, f"u{person}", day=number % 3, **(CHALLENGER if second else {})))
            if rng.random() < taste:
                records.append(event(key, "b"))
    return records


def test_a_better_challenger_is_found_and_a_clean_split_passes(tmp_path: Path) -> None:
    found = measured(tmp_path, *_arms(people=600, lists=3, gain=0.2, seed=1), share=0.5)
    (compared,) = found.comparisons
    assert (compared.champion, compared.challenger) == ("v1", "v2")
    assert compared.p_adjusted < 0.001
    assert compared.hit_rate.low < 0.2 < compared.hit_rate.high
    assert compared.ratio_p_value is not None
    assert compared.ratio_p_value > 0.001
    assert compared.people_in_both == 0


def test_a_broken_split_is_found(tmp_path: Path) -> None:
    found = measured(tmp_path, *_arms(people=600, lists=1, gain=0, seed=2, challenger=0.4), share=0.5)
    ratio = found.comparisons[0].ratio_p_value
    assert ratio is not None
    assert ratio < 0.001


def test_requests_of_nobody_are_no_people_of_a_split(tmp_path: Path) -> None:
    named = [answer(number, f"u{number}") for number in range(50)]
    named += [answer(number, f"u{number}", **CHALLENGER) for number in range(50, 100)]
    nobody = [answer(number, None) for number in range(100, 300)]
    (compared,) = measured(tmp_path, *named, *nobody, event(1, "a"), share=0.5).comparisons
    assert compared.observed_share == 0.5
    assert compared.ratio_p_value == pytest.approx(1.0)


def test_after_a_change_of_the_share_only_the_newest_split_is_read(tmp_path: Path) -> None:
    first = [answer(number, f"u{number}", challenger_share=0.1) for number in range(90)]
    first += [answer(number, f"u{number}", challenger_share=0.1, **CHALLENGER) for number in range(90, 100)]
    later = [answer(100 + number, f"u{number}", day=1, challenger_share=0.5) for number in range(50)]
    later += [
        answer(100 + number, f"u{number}", day=1, challenger_share=0.5, **CHALLENGER) for number in range(50, 100)
    ]
    (compared,) = measured(tmp_path, *first, *later, event(199, "a")).comparisons
    assert compared.planned_share == 0.5
    assert compared.observed_share == 0.5
    assert compared.ratio_p_value == pytest.approx(1.0)
    assert compared.people_in_both == 0


def test_the_champion_counts_on_the_days_of_the_challenger_only(tmp_path: Path) -> None:
    before = [answer(number, f"u{number}") for number in range(20)]
    during = [answer(100 + number, f"u{number}", day=1) for number in range(10)]
    during += [answer(100 + number, f"u{number}", day=1, **CHALLENGER) for number in range(10, 20)]
    hits = [event(number, "a") for number in (0, 1, 2, 3, 112)]
    (compared,) = measured(tmp_path, *before, *during, *hits, share=0.5).comparisons
    rates = [each.hit_rate for each in (compared.champion_rates, compared.challenger_rates)]
    assert [(rate.lists, rate.value) for rate in rates if rate] == [(10, 0.0), (10, 0.1)]


def test_the_newest_days_are_the_champions_and_all_tests_share_the_error_rate(tmp_path: Path) -> None:
    records: list[AnswerRecord | FeedbackRecord] = []
    for day in range(12):
        # Of the champion's ten lists a day four are hits, on the last day three; the challenger's never are.
        keys = [100 * day + number for number in range(10)]
        records += [answer(key, f"u{key}", day=day) for key in keys]
        records += [event(key, "a") for key in keys[: 3 if day == 11 else 4]]
        if day > 9:
            records += [answer(key + 10, f"u{key + 10}", day=day, **CHALLENGER) for key in keys]
    found = measured(tmp_path, *records, share=0.5)
    (compared,), recent = found.comparisons, found.recent
    assert recent is not None
    assert recent.before.value == pytest.approx(0.4)
    assert recent.newest.lists == 10 * recent.days
    assert recent.newest.value == pytest.approx((4 * recent.days - 1) / (10 * recent.days))
    plain = compared.hit_rate.p_value, recent.change.p_value
    assert plain[0] < plain[1] / 2
    assert compared.p_adjusted == pytest.approx(2 * plain[0])
    assert recent.p_adjusted == pytest.approx(plain[1])


def test_people_who_saw_both_arms_are_left_out(tmp_path: Path) -> None:
    first = [answer(1, "u"), answer(3, "v")]
    second = [answer(2, "u", **CHALLENGER), answer(4, "w", **CHALLENGER)]
    (compared,) = measured(tmp_path, *first, *second, event(4, "a")).comparisons
    assert compared.people_in_both == 1
    assert compared.champion_rates.hit_rate is not None
    assert compared.champion_rates.hit_rate.lists == 1


def _person_sums(lists: np.ndarray, gains: np.ndarray) -> Sums:
    return Sums(
        people=len(lists),
        n=float(lists.sum()),
        x=float(gains.sum()),
        nn=float((lists**2).sum()),
        xx=float((gains**2).sum()),
        xn=float((gains * lists).sum()),
    )


def test_intervals_over_people_hold_the_truth_where_their_lists_are_alike() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        lists = rng.integers(1, 9, 200).astype(float)
        gains = rng.binomial(lists.astype(int), rng.beta(0.4, 1.6, 200)).astype(float)
        found = compute_rate(_person_sums(lists, gains))
        assert found is not None
        held += found.low <= 0.2 <= found.high
    assert 0.91 <= held / 300 <= 0.98


def test_equal_arms_raise_few_alarms_where_lists_of_a_person_are_alike() -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(300):
        rates = []
        for _ in range(2):
            lists = rng.integers(1, 9, 200).astype(float)
            gains = rng.binomial(lists.astype(int), rng.beta(0.4, 1.6, 200)).astype(float)
            rates.append(compute_rate(_person_sums(lists, gains)))
        assert rates[0] is not None
        assert rates[1] is not None
        alarms += compare_rates(rates[0], rates[1]).p_value <= 0.05
    assert alarms <= 27


def test_the_error_of_a_few_people_is_that_of_their_sample() -> None:
    gains = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
    found = compute_rate(_person_sums(np.ones(5), gains))
    assert found is not None
    assert found.error == pytest.approx(gains.std(ddof=1) / math.sqrt(5))


def test_with_one_list_a_person_it_is_the_two_proportion_test() -> None:
    parts = []
    for people, hits in ((400, 80), (500, 140)):
        gains = np.repeat([1.0, 0.0], [hits, people - hits])
        found = compute_rate(_person_sums(np.ones(people), gains))
        assert found is not None
        parts.append(found)
    share = (80 / 400, 140 / 500)
    error = math.sqrt(share[0] * (1 - share[0]) / 400 + share[1] * (1 - share[1]) / 500)
    expected = math.erfc(abs(share[1] - share[0]) / error / math.sqrt(2))
    assert compare_rates(parts[0], parts[1]).p_value == pytest.approx(expected, rel=0.03)


def test_a_rate_that_fell_to_nothing_is_found() -> None:
    hits = np.repeat([1.0, 0.0], [90, 210])
    rates = [compute_rate(_person_sums(np.ones(300), gains)) for gains in (hits, np.zeros(300))]
    assert rates[0] is not None
    assert rates[1] is not None
    assert compare_rates(rates[0], rates[1]).p_value < 1e-6
    assert compare_rates(rates[1], rates[1]).p_value == 1


# What lists gained is rounded to nine digits before it is added.
@given(
    st.lists(st.tuples(st.integers(1, 6), st.floats(0, 1).map(lambda gain: round(gain, 9))), min_size=1, max_size=30)
)
def test_a_rate_lies_in_its_interval_and_both_between_0_and_1(people: list[tuple[int, float]]) -> None:
    lists = np.asarray([count for count, _ in people], dtype=float)
    found = compute_rate(_person_sums(lists, lists * np.asarray([share for _, share in people])))
    assert found is not None
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
    assert found.high > found.low
