"""The sample: a synthetic shop of 1,008 items and a year of 3,000 users, the same bytes from the same seed.

    learn data sample --out DIR [--seed N]

Text and order both carry signal. A person follows one interest at a time and buys along the department's chain: after a
tent its groundsheet, then the sleeping mat of the same series. Interests drift with the seasons and with time. A taste
for one style runs through all departments. A few series sell most, and a quarter of them starts during the year. One
row in a hundred is dirty on purpose, for validation to catch.
"""

from __future__ import annotations

import gzip
import json
import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

from learn.data.sample.words import read_words
from learn.storage import atomic_files

USERS = 3_000

_ITEMS, _INTERACTIONS = "items.jsonl.gz", "interactions.tsv.gz"
_START = datetime(2025, 1, 1, tzinfo=UTC)
_YEAR_SECONDS = 365 * 86_400.0
_CHAIN = 6
"""Products of each department."""
_UNPARSABLE = ("soon", "yesterday", "n/a", "at checkout")


@dataclass(frozen=True)
class DirtyRows:
    """How many rows of each kind are dirty on purpose."""

    items_without_title: int = 3
    items_with_placeholder: int = 4
    items_with_markup: int = 2
    items_with_mojibake: int = 4
    unknown_item: int = 110
    unparsable_timestamp: int = 60
    timestamp_of_1970: int = 50
    timestamp_of_2199: int = 20
    duplicate: int = 100
    blank_user: int = 40

    @property
    def items(self) -> int:
        """Dirty rows in the items."""
        return (
            self.items_without_title + self.items_with_placeholder + self.items_with_markup + self.items_with_mojibake
        )

    @property
    def interactions(self) -> int:
        """Dirty rows in the interactions."""
        moments = self.unparsable_timestamp + self.timestamp_of_1970 + self.timestamp_of_2199
        return self.unknown_item + moments + self.duplicate + self.blank_user


DIRTY = DirtyRows()


class _Draw:
    """Random draws that rest on `Random.random` alone, the one method whose stream Python guarantees."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a made-up shop, no secrets

    def draw_unit(self) -> float:
        return self._random.random()

    def draw_index(self, weights: Sequence[float]) -> int:
        sums = list(accumulate(weights))
        return min(bisect_right(sums, self.draw_unit() * sums[-1]), len(sums) - 1)

    def draw_below(self, stop: int) -> int:
        return int(self.draw_unit() * stop)

    def draw_exponential(self, mean: float) -> float:
        return -mean * math.log(1.0 - self.draw_unit())

    def draw_distinct(self, stop: int, count: int) -> list[int]:
        """`count` different integers below `stop`."""
        drawn: dict[int, None] = {}
        while len(drawn) < count:
            drawn[self.draw_below(stop)] = None
        return list(drawn)


@dataclass(frozen=True)
class _Item:
    item_id: str
    title: str | None
    brand: str
    category: str
    price: float
    keywords: str
    description: str | None


@dataclass(frozen=True)
class _Row:
    user_id: str
    item_id: str
    timestamp: str


@dataclass(frozen=True)
class _Shop:
    """The catalogue by place: an item's row is ``(department * series + series) * products + product``."""

    items: list[_Item]
    launches: list[float]
    styles: list[list[int]]

    @staticmethod
    def add_item(department: int, series: int, product: int) -> int:
        return (department * len(read_words().departments[0].series) + series) * _CHAIN + product


def make_sample(out: Path, *, seed: int = 7) -> None:
    """Write ``items.jsonl.gz`` and ``interactions.tsv.gz`` into a folder.

    Args:
        out: The folder; made where it does not exist.
        seed: Another seed is another shop.

    Raises:
        StorageError: The folder cannot be written.
    """
    draw = _Draw(seed)
    shop = _stock_shop(draw)
    visits = sorted(visit for user in range(USERS) for visit in _simulate_user(draw, shop, user))
    rows = [_Row(f"u{user:05d}", shop.items[place].item_id, _format_second(moment)) for moment, user, place in visits]
    items = _add_dirty_items(draw, shop.items)
    lines = (json.dumps(vars(item), ensure_ascii=False) for item in items)
    table = ("\t".join(vars(row).values()) for row in _add_dirty_rows(draw, rows))
    with atomic_files(out, names=(_ITEMS, _INTERACTIONS)) as stage:
        _write(stage / _ITEMS, lines)
        _write(stage / _INTERACTIONS, ("user_id\titem_id\ttimestamp", *table))


def _write(path: Path, lines: Iterator[str] | Sequence[str]) -> None:
    # Neither a name nor a time in the header: the same rows are the same bytes.
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def _format_second(second: float) -> str:
    return (_START + timedelta(seconds=int(second))).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stock_shop(draw: _Draw) -> _Shop:
    numbers = draw.draw_distinct(
        9_000, len(read_words().departments) * len(read_words().departments[0].series) * _CHAIN
    )
    items: list[_Item] = []
    launches: list[float] = []
    styles = [
        [draw.draw_below(len(read_words().styles)) for _ in department.series]
        for department in read_words().departments
    ]
    for here in range(len(read_words().departments)):
        for series in range(len(read_words().departments[here].series)):
            is_new = series > 1 and draw.draw_unit() < 0.25
            launch = draw.draw_unit() * 0.95 * _YEAR_SECONDS if is_new else 0.0
            for product in range(_CHAIN):
                items.append(_make_item(draw, here, series, product, style=styles[here][series], number=numbers.pop()))
                launches.append(launch + product * 3 * 86_400.0 if is_new else 0.0)
    return _Shop(items, launches, styles)


def _make_item(draw: _Draw, here: int, series: int, product: int, *, style: int, number: int) -> _Item:
    department, taste = read_words().departments[here], read_words().styles[style]
    brand, line = department.brands[series % len(department.brands)], department.series[series]
    kind = department.products[product]
    following = department.products[(product + 1) % _CHAIN].name.lower()
    colour = read_words().colours[draw.draw_below(len(read_words().colours))]
    description = f"{kind.text} {taste.text} Goes with the {line} {following}."
    return _Item(
        item_id=f"P{1_000 + number}",
        title=f"{brand} {line} {kind.name}, {colour}",
        brand=brand,
        category=department.name,
        price=round(kind.price * taste.price * (0.9 + 0.2 * draw.draw_unit())) - 0.05,
        keywords=f"{kind.name.lower()}, {taste.name}, {department.name.lower()}",
        description=None if draw.draw_unit() < 0.06 else description,
    )


@dataclass
class _Person:
    """What a user is after just now: one place of the catalogue, and tastes that drift."""

    style: int
    tastes: list[float]
    department: int = 0
    series: int = 0
    product: int = 0
    seen: set[int] = field(default_factory=set)


def _simulate_user(draw: _Draw, shop: _Shop, user: int) -> Iterator[tuple[float, int, int]]:
    arrival = draw.draw_unit() ** 0.8 * 0.92 * _YEAR_SECONDS
    gaps = [_draw_gap(draw) for _ in range(min(3 + int(draw.draw_exponential(7.4)), 40))]
    # Who came late lives faster, so that nobody's life is cut off by the end of the year.
    pace = min(1.0, (_YEAR_SECONDS - arrival - 120) / sum(gaps))
    person = _Person(
        draw.draw_below(len(read_words().styles)), [draw.draw_exponential(1.0) ** 3 for _ in read_words().departments]
    )
    _turn(draw, shop, person, arrival)
    moment = arrival
    for gap in gaps:
        moment += gap * pace
        place = _choose_next_item(draw, shop, person, moment)
        person.seen.add(place)
        yield int(moment), user, place


def _draw_gap(draw: _Draw) -> float:
    return 60 + draw.draw_exponential(1_800.0 if draw.draw_unit() < 0.45 else 8 * 86_400.0)


def _choose_next_item(draw: _Draw, shop: _Shop, person: _Person, moment: float) -> int:
    """The next item: along the chain, its like in another series, a new interest, or what everybody buys."""
    for _ in range(20):
        choice = draw.draw_index((0.60, 0.10, 0.17, 0.13))
        if choice == 3:
            stray = _choose_best_seller(draw, shop, moment)
            if stray not in person.seen:
                return stray
            continue
        if choice == 2 or person.product == _CHAIN - 1:
            _turn(draw, shop, person, moment)
        elif choice == 1:
            person.series = _choose_series(draw, shop, person, moment)
        else:
            person.product += 1
        place = shop.add_item(person.department, person.series, person.product)
        if place not in person.seen and shop.launches[place] <= moment:
            return place
    return _choose_unseen(draw, shop, person, moment)


def _turn(draw: _Draw, shop: _Shop, person: _Person, moment: float) -> None:
    """Take up another interest: what the person likes, in its season; likings themselves drift."""
    person.tastes[draw.draw_below(len(person.tastes))] = draw.draw_exponential(1.0) ** 3
    if draw.draw_unit() < 0.1:
        person.style = draw.draw_below(len(read_words().styles))
    seasons = [_compute_season(moment, department.peak, department.swing) for department in read_words().departments]
    person.department = draw.draw_index([taste * season for taste, season in zip(person.tastes, seasons, strict=True)])
    person.series = _choose_series(draw, shop, person, moment)
    person.product = draw.draw_index((0.55, 0.20, 0.12, 0.08, 0.05, 0.0))


def _compute_season(moment: float, peak: int, swing: float) -> float:
    return 1.02 + swing * math.cos(2 * math.pi * (moment / _YEAR_SECONDS - (peak - 0.5) / 12))


def _choose_series(draw: _Draw, shop: _Shop, person: _Person, moment: float) -> int:
    weights = []
    for series, style in enumerate(shop.styles[person.department]):
        launch = shop.launches[shop.add_item(person.department, series, 0)]
        fashion = 2.5 if 0 < launch <= moment < launch + 60 * 86_400.0 else 1.0
        liking = 5.0 if style == person.style else 1.0
        weights.append(fashion * liking / (series + 1) if launch <= moment else 0.0)
    return draw.draw_index(weights)


def _choose_best_seller(draw: _Draw, shop: _Shop, moment: float) -> int:
    seasons = [_compute_season(moment, department.peak, department.swing) for department in read_words().departments]
    # The first two series of a department are never launches, so they are always there.
    return shop.add_item(draw.draw_index(seasons), draw.draw_below(2), draw.draw_index((4.0, 2.0, 1.0, 1.0, 1.0, 1.0)))


def _choose_unseen(draw: _Draw, shop: _Shop, person: _Person, moment: float) -> int:
    while True:
        place = draw.draw_below(len(shop.items))
        if place not in person.seen and shop.launches[place] <= moment:
            return place


def _add_dirty_items(draw: _Draw, clean: list[_Item]) -> list[_Item]:
    items = list(clean)
    accented = [row for row, item in enumerate(items) if not (item.title or "").isascii()]
    for row in (accented[at] for at in draw.draw_distinct(len(accented), DIRTY.items_with_mojibake)):
        items[row] = replace(items[row], title=(items[row].title or "").encode().decode("cp1252", "replace"))
    titles: list[str | None] = ["", "", None, "?", "?", "damaged", "DAMAGED"]
    titles += ['<div class="product"><h1><span>{}</span></h1><br/><br/></div>'] * DIRTY.items_with_markup
    plain = [row for row, item in enumerate(items) if (item.title or "").isascii()]
    for row, title in zip((plain[at] for at in draw.draw_distinct(len(plain), len(titles))), titles, strict=True):
        items[row] = replace(items[row], title=title and title.format(items[row].brand))
    # An export comes in no order that means anything.
    return [items[row] for row in draw.draw_distinct(len(items), len(items))]


def _add_dirty_rows(draw: _Draw, clean: list[_Row]) -> list[_Row]:
    """Every clean row, and next to some of them a dirty copy."""
    places = draw.draw_distinct(len(clean), DIRTY.interactions)
    soiled: dict[int, _Row] = {}

    def draw_rows(count: int, **change: str) -> None:
        for at in (places.pop() for _ in range(count)):
            soiled[at] = replace(clean[at], **change)

    for number in range(DIRTY.unknown_item):
        draw_rows(1, item_id=f"X{number % 17 + 1:04d}")
    for number in range(DIRTY.unparsable_timestamp):
        draw_rows(1, timestamp=_UNPARSABLE[number % len(_UNPARSABLE)])
    draw_rows(DIRTY.timestamp_of_1970, timestamp="1970-01-01T00:00:00Z")
    draw_rows(DIRTY.timestamp_of_2199, timestamp="2199-12-31T23:59:59Z")
    draw_rows(DIRTY.blank_user, user_id="")
    draw_rows(DIRTY.duplicate)
    return [row for at, row in enumerate(clean) for row in ([row, soiled[at]] if at in soiled else [row])]
