"""The replay itself: train, live through the days, break, go back, repeat. Every step that was done stays done."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx

from benchmarks.replay.client import await_champion, keep_day, request_lists, simulate_day
from benchmarks.replay.records import Day, First, Lists, Refusal, Repeated, Replay, Trained, WayBack, keep, read_record
from benchmarks.replay.shop import Shop
from benchmarks.replay.workplace import Workplace

_WINDOW_DAYS = 3
_COMPARED_USERS = 100


@dataclass(frozen=True)
class Plan:
    """What is replayed.

    Attributes:
        shop: The shop.
        place: Where.
        begin: First day that is lived through.
        days: How many, those without a visit among them.
        event: First day on which a fifth of the items goes by new numbers.
    """

    shop: Shop
    place: Workplace
    begin: date
    days: int
    event: date

    def record(self, name: str) -> Path:
        """Return the file of a record."""
        return self.place.folder / "records" / f"{name}.json"


def replay(plan: Plan) -> Iterator[Replay]:
    """Continue where an earlier call stopped; yield what is known after each step.

    Raises:
        LearnError: A flow failed, or the service did not answer.
    """
    plan.place.begin()
    first = read_record(First, plan.record("first")) or _train_first(plan)
    found = Replay(event=plan.event, first=first, days=())
    yield found
    with plan.place.run_service() as address, httpx.Client(base_url=address, timeout=60.0, trust_env=False) as client:
        for number in range(plan.days):
            today = plan.begin + timedelta(days=number)
            day = read_record(Day, plan.record(f"day-{today}")) or _replay_day(plan, client, today, found)
            if day is not None:
                found = found.model_copy(update={"days": (*found.days, day)})
                yield found
        refusal = read_record(Refusal, plan.record("refusal")) or _try_refusal(plan)
        yield (found := found.model_copy(update={"refusal": refusal}))
        way_back = read_record(WayBack, plan.record("way_back")) or _roll_back(plan, client)
        yield (found := found.model_copy(update={"way_back": way_back}))
    repeated = read_record(Repeated, plan.record("repeated")) or _repeat_training(plan)
    yield found.model_copy(update={"repeated": repeated})


def _train_first(plan: Plan) -> First:
    begun = time.monotonic()
    plan.shop.write(plan.place.data, until=plan.begin - timedelta(days=1))
    run_id = plan.place.train(plan.place.data, "train-first")
    # Nobody had been promoted, so the gate had no champion to ask; a first model that it refuses is served even so.
    if not plan.place.read_decision(run_id)["fit"]:
        plan.place.run_models("promote", "latest", "--reason", "a shop begins with something", name="promote-first")
    version = plan.place.find_champion()
    return keep(First(run_id=run_id, version=version, seconds=time.monotonic() - begun), plan.record("first"))


def _replay_day(plan: Plan, client: httpx.Client, today: date, so_far: Replay) -> Day | None:
    visits = plan.shop.list_visits(today)
    if not visits:
        return None
    begun, place = time.monotonic(), plan.place
    champion = place.find_champion()
    await_champion(client, champion)
    _keep_lists(plan, client, champion)
    moments = simulate_day(client, visits)
    log = keep_day(place.raw_log, place.log, day=today, moments=moments)
    plan.shop.write(place.data, until=today)
    # Nothing older than the champion: what others answered says little of it.
    own = [day.day for day in so_far.days if day.model == champion]
    since = max(today - timedelta(days=_WINDOW_DAYS - 1), min([*own, today]))
    words = ("--traffic", str(place.log), "--since", str(since), "--until", str(today + timedelta(days=1)))
    again = ("--retrain", "on-verdict", "--data", str(place.data), "--promote", "if-better")
    ended, verdict = place.monitor(f"monitor-{today}", *words, *again)
    tested = [column for column in verdict["findings"]["columns"] if column["effect"] is not None]
    worst = max(tested, key=lambda column: float(column["effect"]), default={"effect": 0.0, "name": ""})
    day = Day(
        day=today,
        model=champion,
        lists=len(visits),
        taken=log.read_text(encoding="utf-8").count('"kind": "feedback"'),
        hit_rate=_measure_hit_rate(verdict, today),
        verdict=verdict["verdict"],
        reasons=tuple(reason["said"] for reason in verdict["reasons"]),
        drift=worst["effect"],
        drifted=worst["name"],
        unknown_share=verdict["traffic"]["unknown_share"],
        retraining=_read_retraining(place, ended.said),
        seconds=time.monotonic() - begun,
    )
    return keep(day, plan.record(f"day-{today}"))


def _measure_hit_rate(verdict: dict[str, Any], today: date) -> tuple[float, float, float] | None:
    feedback = verdict["findings"]["feedback"]
    rates = [day["hit_rate"] for day in (feedback or {"by_day": []})["by_day"] if day["name"] == str(today)]
    return (rates[0]["value"], rates[0]["low"], rates[0]["high"]) if rates and rates[0] else None


def _read_retraining(place: Workplace, said: str) -> Trained | None:
    line = re.search(r"Retraining: (.*)", said)
    started = re.search(r"Run (\d+) trained a model|Training run (\S+) failed", line[1] if line else "")
    if line is None or started is None:
        return None
    return Trained(run_id=started[1] or started[2], said=line[1].strip(), champion=place.find_champion())


def _compare_lists(plan: Plan) -> list[tuple[str, ...]]:
    # Histories of before the first day: every model of the replay knows their items.
    visits = plan.shop.list_visits(plan.begin)
    for back in range(1, 30):
        if len(visits) >= _COMPARED_USERS:
            break
        visits += plan.shop.list_visits(plan.begin - timedelta(days=back))
    return [visit.before for visit in visits[:_COMPARED_USERS]]


def _keep_lists(plan: Plan, client: httpx.Client, version: str) -> None:
    file = plan.record(f"lists-{version}")
    if read_record(Lists, file) is None:
        keep(Lists(version=version, lists=request_lists(client, _compare_lists(plan))), file)


def _try_refusal(plan: Plan) -> Refusal:
    place, last = plan.place, plan.begin + timedelta(days=plan.days - 1)
    before = place.find_champion()
    broken = place.folder / "broken"
    plan.shop.write(broken, until=last, shuffled=True)
    run_id = place.train(broken, "train-broken")
    decision = place.read_decision(run_id)
    refusal = Refusal(
        run_id=run_id,
        refused=not decision["fit"] and place.find_champion() == before,
        reasons=tuple(rule["said"] for rule in decision["rules"] if not rule["passed"]),
    )
    return keep(refusal, plan.record("refusal"))


def _roll_back(plan: Plan, client: httpx.Client) -> WayBack | None:
    place = plan.place
    before = place.find_champion()
    await_champion(client, before)
    _keep_lists(plan, client, before)
    ended = place.run_models("rollback", "--reason", "the replay tries the way back", name="rollback")
    after = place.find_champion()
    earlier = read_record(Lists, plan.record(f"lists-{after}"))
    other = read_record(Lists, plan.record(f"lists-{before}"))
    if ended.code or earlier is None or other is None or after == before:
        return None
    await_champion(client, after)
    lists = request_lists(client, _compare_lists(plan))
    way_back = WayBack(
        from_version=before,
        to_version=after,
        users=len(lists),
        same=sum(one == two for one, two in zip(lists, earlier.lists, strict=True)),
        changed=sum(one != two for one, two in zip(lists, other.lists, strict=True)),
    )
    return keep(way_back, plan.record("way_back"))


def _repeat_training(plan: Plan) -> Repeated:
    version = plan.place.find_champion()
    ended = plan.place.run_models("reproduce", version, "--data", str(plan.place.data), name="reproduce")
    said = next((line for line in ended.said.splitlines() if line.startswith(("SAME", "DIFFERENT"))), "")
    return keep(Repeated(version=version, same=ended.code == 0, said=said), plan.record("repeated"))
