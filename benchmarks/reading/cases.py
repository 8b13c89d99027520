"""Inputs as people have them, each with what must come out: written here, after the kinds of public bug reports."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Rows = Sequence[Sequence[object]]

ITEMS = [(f"i{n}", f"Nice thing number {n}") for n in range(10)]
START = 1_700_000_000
INTERACTIONS = [(f"u{n % 12}", f"i{n % 10}", START + n * 3_600) for n in range(48)]
ITEM_NAMES, NAMES = ("item_id", "title"), ("user_id", "item_id", "timestamp")
READ: Mapping[str, object] = {
    "items.rows": 10,
    "items.valid": 10,
    "interactions.rows": 48,
    "interactions.valid": 48,
    "users": 12,
    "items_used": 10,
    "first": "2023-11-14",
    "last": "2023-11-16",
    "split": "by_date",
}
ORDER: Mapping[str, object] = {**READ, "timestamp_unit": "order", "first": None, "last": None, "split": "leave_one_out"}


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        kind: Its kind.
        about: What the input is.
        files: Content of the files that differ from a sound shop's; None takes a file away.
        expected: Values of the check by their dotted path; None if it must be refused.
        words: A refusal names one of them; empty where it must be read.
        settings: Settings that the person gives.
    """

    kind: str
    about: str
    files: Mapping[str, bytes | str | None]
    expected: Mapping[str, object] | None = field(default_factory=lambda: READ)
    words: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the files and the settings to a folder."""
        sound = {"items.csv": spell(ITEMS, ITEM_NAMES), "interactions.csv": spell(INTERACTIONS, NAMES)}
        for name, content in {**sound, **self.files}.items():
            if content is not None:
                path = folder / "data" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        (folder / "settings.json").write_text(json.dumps(self.settings), encoding="utf-8")


def spell(rows: Rows, names: Sequence[str], *, separator: str = ",", end: str = "\n") -> str:
    """Write rows without quoting, the names first."""
    return "".join(separator.join(map(str, row)) + end for row in [names, *rows])


def spell_json(rows: Rows, names: Sequence[str], **more: Callable[[int], object]) -> str:
    """Write rows as JSON Lines; ``more`` gives further keys by the number of the row."""
    return "".join(
        json.dumps({**dict(zip(names, row, strict=True)), **{key: make(n) for key, make in more.items()}}) + "\n"
        for n, row in enumerate(rows)
    )


def store(columns: Mapping[str, Any]) -> bytes:
    """Write columns as Parquet."""
    buffer = io.BytesIO()
    arrays = [one if isinstance(one, pa.Array) else pa.array(one) for one in columns.values()]
    pq.write_table(pa.table(arrays, names=list(columns)), buffer)
    return buffer.getvalue()


def replace_ids(spell_item: Callable[[str], str], spell_user: Callable[[str], str] = str) -> list[tuple[object, ...]]:
    """Return the interactions with ids in another spelling."""
    return [(spell_user(user), spell_item(item), time) for user, item, time in INTERACTIONS]


def replace_times(write: Callable[[datetime], object]) -> list[tuple[object, ...]]:
    """Return the interactions with timestamps written in another way."""
    return [(user, item, write(datetime.fromtimestamp(time, tz=UTC))) for user, item, time in INTERACTIONS]


def _list_dialects() -> dict[str, Case]:
    kind = "dialects of CSV and TSV"
    cases = {
        f"separator-{name}": Case(
            kind, f"a .csv separated by {name}", {"items.csv": spell(ITEMS, ITEM_NAMES, separator=mark)}
        )
        for name, mark in (("semicolon", ";"), ("tab", "\t"), ("bar", "|"))
    }
    cases |= {
        f"line-end-{name}": Case(
            kind, f"lines end in {name}", {"interactions.csv": spell(INTERACTIONS, NAMES, end=end)}
        )
        for name, end in (("crlf", "\r\n"), ("cr", "\r"))
    }
    cases |= {
        f"first-line-{name}": Case(kind, f"the header follows {line!r}", {"items.csv": line + spell(ITEMS, ITEM_NAMES)})
        for name, line in (
            ("excel", "sep=,\n"),
            ("comment", "# exported today\n"),
            ("blank", "\n\n"),
            ("mark", "\ufeff"),
        )
    }
    titles = {
        "quoted": ('"{}, ""big"""', "fields with commas and doubled marks", READ),
        "line-break": ('"{}\nand more"', "fields with line breaks", READ),
        "backslash": ('"The \\"best\\" {}"', "marks escaped by a backslash", READ),
        "inch": ('{} 12" wide', "marks in the middle of unquoted fields", READ),
        "leading-mark": ('"{}', "every title begins with a mark that nothing closes", READ),
    }
    for name, (form, about, expected) in titles.items():
        rows = [(item, form.format(title)) for item, title in ITEMS]
        cases[f"title-{name}"] = Case(kind, about, {"items.csv": spell(rows, ITEM_NAMES)}, expected)
    plain = [(item, f'"{title}' if n in {2, 6} else title) for n, (item, title) in enumerate(ITEMS)]
    tsv = spell(plain, ITEM_NAMES, separator="\t")
    cases["tsv-without-quoting"] = Case(
        kind, "TSV of MySQL: two titles begin with a mark", {"items.csv": None, "items.tsv": tsv}
    )
    pair = [
        (item, f'"{title}' if n == 2 else f'{title}"' if n == 6 else title) for n, (item, title) in enumerate(ITEMS)
    ]
    tsv = spell(pair, ITEM_NAMES, separator="\t")
    cases["tsv-pair-over-lines"] = Case(
        kind, "TSV: a mark in line 4, its pair in line 8", {"items.csv": None, "items.tsv": tsv}
    )
    for at in (1, 30, 46):
        noted = [(*row, '"5 inch' if n == at else "note") for n, row in enumerate(INTERACTIONS)]
        text = spell(noted, (*NAMES, "note"))
        cases[f"open-mark-{at}"] = Case(kind, f"a mark opens in row {at} and never closes", {"interactions.csv": text})
    text = "item_id,title\n" + "".join(f'{a},"{b}, ok"\n' if a != "i7" else f'{a},"{b}, ok\n' for a, b in ITEMS)
    cases["open-mark-quoted"] = Case(
        kind, "an open mark among quoted commas", {"items.csv": text}, None, ("quotation",)
    )
    cases["null-of-mysql"] = Case(
        kind,
        "one title is \\N",
        {"items.csv": spell([*ITEMS, ("i10", "\\N")], ITEM_NAMES)},
        {**READ, "items.rows": 11, "items.quarantined": 1},
        ("quarantine", "title"),
    )
    cases["few-fields"] = Case(
        kind, "a row lacks a field", {"items.csv": spell([*ITEMS, ("i10",)], ITEM_NAMES)}, None, ("too few",)
    )
    return cases


def _list_files() -> dict[str, Case]:
    kind = "encodings, compressions and foreign files"
    items = spell([(item, f"{title} é") for item, title in ITEMS], ITEM_NAMES)
    data = spell(ITEMS, ITEM_NAMES).encode()
    return {
        "utf-16": Case(kind, "UTF-16 with a byte order mark", {"items.csv": items.encode("utf-16")}),
        "utf-16-bare": Case(kind, "UTF-16 without a mark", {"items.csv": items.encode("utf-16-le")}),
        "cp1252": Case(kind, "Windows-1252, not said", {"items.csv": items.encode("cp1252")}, None, ("utf-8",)),
        "cp1252-set": Case(
            kind, "Windows-1252, said", {"items.csv": items.encode("cp1252")}, settings={"data": {"encoding": "cp1252"}}
        ),
        "gzip": Case(kind, "gzip", {"items.csv": None, "items.csv.gz": gzip.compress(data)}),
        "gzip-members": Case(
            kind,
            "gzip of two members",
            {"items.csv": None, "items.csv.gz": gzip.compress(data[:90]) + gzip.compress(data[90:])},
        ),
        "gzip-named-csv": Case(kind, "gzip, named .csv", {"items.csv": gzip.compress(data)}),
        "plain-named-gz": Case(kind, "plain, named .csv.gz", {"items.csv": None, "items.csv.gz": data}),
        "gzip-cut": Case(
            kind, "gzip, cut off", {"items.csv": None, "items.csv.gz": gzip.compress(data)[:-9]}, None, ("cut",)
        ),
        "bzip2": Case(kind, "bzip2", {"items.csv": None, "items.csv.bz2": bz2.compress(data)}),
        "web-page": Case(kind, "a sign-in page", {"items.csv": "<!DOCTYPE html>\n<p>Sign in</p>"}, None, ("web page",)),
        "zip-named-csv": Case(
            kind, "a workbook named .csv", {"items.csv": b"PK\x03\x04 sheet"}, None, ("workbook", "zip")
        ),
        "json-named-csv": Case(kind, "JSON named .csv", {"items.csv": spell_json(ITEMS, ITEM_NAMES)}, None, ("json",)),
        "workbook": Case(
            kind, "items.xlsx", {"items.csv": None, "items.xlsx": b"PK\x03\x04"}, None, ("save the sheet",)
        ),
        "empty": Case(kind, "an empty file", {"items.csv": ""}, None, ("empty",)),
        "header-alone": Case(kind, "a header and no row", {"items.csv": "item_id,title\n"}, None, ("empty",)),
        "no-items": Case(kind, "no items file", {"items.csv": None}, None, ("no file for the table `items`",)),
        "two-items": Case(kind, "items.csv and items.tsv", {"items.tsv": "x"}, None, ("more than one",)),
        "header-capitals": Case(kind, "Item_ID, TITLE", {"items.csv": spell(ITEMS, ("Item_ID", " TITLE"))}),
        "misnamed": Case(
            kind,
            "other names in both tables",
            {
                "items.csv": spell(ITEMS, ("sku", "name")),
                "interactions.csv": spell(INTERACTIONS, ("customer", "sku", "time")),
            },
            None,
            ('interaction_columns = {user_id = "customer", item_id = "sku", timestamp = "time"}',),
        ),
        "parts": Case(
            kind,
            "interactions as a folder of Parquet parts",
            {
                "interactions.csv": None,
                **{
                    f"interactions/day={day}/part-0.parquet": store(
                        {name: [row[at] for row in INTERACTIONS[day::2]] for at, name in enumerate(NAMES)}
                    )
                    for day in (0, 1)
                },
            },
        ),
    }


def _list_ids() -> dict[str, Case]:
    kind = "ids"
    numbers = [(str(100 + n), title) for n, (_, title) in enumerate(ITEMS)]

    def number(item: str) -> int:
        return 100 + int(item[1:])

    spellings: dict[str, tuple[str, Callable[[str], str]]] = {
        "fraction": ("100 and 100.0", lambda item: f"{number(item)}.0"),
        "zeros": ("100 and 0000000100", lambda item: str(number(item)).zfill(10)),
        "padding": ("100 and `100   `", lambda item: f"{number(item)}   "),
        "zero-width": ("100 and 100 with a zero-width mark", lambda item: f"\u200b{number(item)}"),
        "formula": ('100 and ="100"', lambda item: f'"=""{number(item)}"""'),
    }
    cases = {
        f"item-{name}": Case(
            kind,
            f"item ids are {about} in the two tables",
            {"items.csv": spell(numbers, ITEM_NAMES), "interactions.csv": spell(replace_ids(write), NAMES)},
        )
        for name, (about, write) in spellings.items()
    }
    words = [(f"Café-{item}", title) for item, title in ITEMS]
    for name, about, change in (
        ("nfd", "NFC and NFD", lambda text: unicodedata.normalize("NFD", text)),
        ("capitals", "Café-i1 and CAFÉ-I1", str.upper),
    ):
        rows = [(user, change(f"Café-{item}"), time) for user, item, time in INTERACTIONS]
        cases[f"item-{name}"] = Case(
            kind,
            f"item ids are {about} in the two tables",
            {"items.csv": spell(words, ITEM_NAMES), "interactions.csv": spell(rows, NAMES)},
        )
    mixed = [
        (f"{int(user[1:])}{'.0' if n % 2 else ''}", item, time) for n, (user, item, time) in enumerate(INTERACTIONS)
    ]
    cases["user-mixed"] = Case(kind, "users 7 and 7.0", {"interactions.csv": spell(mixed, NAMES)})
    apart = [(user.upper() if n % 24 < 12 else user, item, time) for n, (user, item, time) in enumerate(INTERACTIONS)]
    cases["user-capitals"] = Case(
        kind, "users u1 and U1 are two", {"interactions.csv": spell(apart, NAMES)}, {**READ, "users": 24}
    )
    numbers_of_users = [2**53 + int(user[1:]) for user, _, _ in INTERACTIONS]
    arrays: dict[str, pa.Array[Any]] = {
        "decimal": pa.array([Decimal(one) for one in numbers_of_users], pa.decimal128(38, 0)),
        "uint64": pa.array([2**63 + one for one in numbers_of_users], pa.uint64()),
        "int64": pa.array(numbers_of_users, pa.int64()),
        "bytes": pa.array([b"\xff" + one.to_bytes(8, "big") for one in numbers_of_users], pa.binary()),
    }
    further = {name: [row[at + 1] for row in INTERACTIONS] for at, name in enumerate(NAMES[1:])}
    for name, users in arrays.items():
        data = store({"user_id": users, **further})
        cases[f"user-{name}"] = Case(
            kind, f"user ids are {name} beyond 2^53", {"interactions.csv": None, "interactions.parquet": data}
        )
    cases["unknown"] = Case(
        kind,
        "no id in common",
        {"interactions.csv": spell(replace_ids(lambda item: f"other-{item}"), NAMES)},
        None,
        ("item",),
    )
    return cases


def _list_clocks() -> dict[str, Case]:
    kind = "clocks"
    forms: dict[str, Callable[[datetime], object]] = {
        "milliseconds": lambda time: int(time.timestamp()) * 10**3,
        "microseconds": lambda time: int(time.timestamp()) * 10**6,
        "nanoseconds": lambda time: int(time.timestamp()) * 10**9,
        "iso": datetime.isoformat,
        "iso-z": lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "iso-basic": lambda time: time.strftime("%Y%m%dT%H%M%SZ"),
        "iso-blank": lambda time: time.strftime("%Y-%m-%d %H:%M:%S"),
        "slashes": lambda time: time.strftime("%Y/%m/%d %H:%M"),
        "digits": lambda time: time.strftime("%Y%m%d%H%M%S"),
        "american": lambda time: f"{time.month}/{time.day}/{time.year} {time.hour}:{time.minute:02}",
        "german": lambda time: time.strftime("%d.%m.%Y %H:%M"),
        "mail": lambda time: time.strftime('"%a, %d %b %Y %H:%M:%S +0000"'),
        "month-names": lambda time: time.strftime("%d-%b-%Y %H:%M"),
        "excel": lambda time: f"{time.timestamp() / 86_400 + 25_569:.10f}",
        "filetime": lambda time: int(time.timestamp() + 11_644_473_600) * 10**7,
        "chrome": lambda time: int(time.timestamp() + 11_644_473_600) * 10**6,
        "dotnet": lambda time: int(time.timestamp() + 62_135_596_800) * 10**7,
    }
    cases = {
        f"clock-{name}": Case(kind, f"timestamps as {name}", {"interactions.csv": spell(replace_times(write), NAMES)})
        for name, write in forms.items()
    }
    cases["clock-order"] = Case(
        kind,
        "numbers 0, 1, 2",
        {"interactions.csv": spell([(*row[:2], n) for n, row in enumerate(INTERACTIONS)], NAMES)},
        ORDER,
    )
    cases["clock-declared-order"] = Case(
        kind,
        "20231114221320, declared an order",
        {"interactions.csv": spell(replace_times(forms["digits"]), NAMES)},
        ORDER,
        settings={"validation": {"timestamps": "order"}},
    )
    old = [(user, item, f"198{n % 10}-01-0{1 + n % 7}") for n, (user, item, _) in enumerate(INTERACTIONS)]
    cases["clock-declared-unix"] = Case(
        kind,
        "dates of the eighties, declared dates",
        {"interactions.csv": spell(old, NAMES)},
        {**READ, "first": "1980-01-01", "last": "1989-01-06"},
        settings={"validation": {"timestamps": "unix", "earliest": "1900-01-01"}},
    )
    ambiguous = [(user, item, f"0{1 + n % 9}/0{1 + n // 6}/2023") for n, (user, item, _) in enumerate(INTERACTIONS)]
    cases["clock-ambiguous"] = Case(
        kind,
        "05/06/2023, day or month first",
        {"interactions.csv": spell(ambiguous, NAMES)},
        None,
        ("timestamp_format",),
    )
    cases["clock-ambiguous-set"] = Case(
        kind,
        "the same with the setting",
        {"interactions.csv": spell(ambiguous, NAMES)},
        {**READ, "first": "2023-01-01", "last": "2023-09-08"},
        settings={"data": {"timestamp_format": "%m/%d/%Y"}},
    )
    mixed = [(user, item, time * 1_000 if n == 5 else time) for n, (user, item, time) in enumerate(INTERACTIONS)]
    cases["clock-mixed-units"] = Case(
        kind,
        "one row in milliseconds among seconds",
        {"interactions.csv": spell(mixed, NAMES)},
        {**READ, "interactions.valid": 47, "interactions.quarantined": 1},
    )
    future = [(user, item, 4_000_000_000 if n == 5 else time) for n, (user, item, time) in enumerate(INTERACTIONS)]
    cases["clock-future"] = Case(
        kind,
        "one row in the year 2096",
        {"interactions.csv": spell(future, NAMES)},
        {**READ, "interactions.valid": 47, "interactions.quarantined": 1},
    )
    days = [(f"u{n % 12}", f"i{n % 10}", f"2023-11-{1 + n // 2:02}") for n in range(48)]
    cases["clock-pieces"] = Case(
        kind,
        "only dates, five rows repeated",
        {"interactions.csv": spell([*days, *days[:5]], NAMES)},
        {"interactions.rows": 53, "interactions.valid": 53, "users": 12, "first": "2023-11-01", "last": "2023-11-24"},
    )
    return cases


def _list_values() -> dict[str, Case]:
    kind = "JSON, Parquet and values"

    def write_items(**more: Callable[[int], object]) -> Mapping[str, bytes | str | None]:
        return {"items.csv": None, "items.jsonl": spell_json(ITEMS, ITEM_NAMES, **more)}

    def store_items(column: object) -> Mapping[str, bytes | str | None]:
        ids, titles = zip(*ITEMS, strict=True)
        return {"items.csv": None, "items.parquet": store({"item_id": ids, "title": titles, "more": column})}

    json_text = spell_json(ITEMS, ITEM_NAMES)
    priced = [(item, title, "n/a" if item == "i3" else "9.90") for item, title in ITEMS]
    weighed = [(*row, '"1,5"' if n == 3 else "2") for n, row in enumerate(INTERACTIONS)]
    short = [(f"i{n}", title) for n, title in enumerate(("It", "Up", "M", "9", "Z", "oO", "Lost", "Error", "iQ", "Pi"))]
    return {
        "json-mark": Case(kind, "a byte order mark", {"items.csv": None, "items.jsonl": "\ufeff" + json_text}),
        "json-crlf": Case(kind, "CRLF", {"items.csv": None, "items.jsonl": json_text.replace("\n", "\r\n")}),
        "json-large": Case(kind, "integers beyond 64 bits", write_items(hash=lambda n: 2**64 + n)),
        "json-mixed": Case(
            kind, "lists in some lines, text in others", write_items(tags=lambda n: ["a"] if n % 2 else "a")
        ),
        "json-records": Case(kind, "records with their own keys", write_items(attributes=lambda n: {f"key {n}": 1})),
        "json-ragged": Case(kind, "a key in one line only", write_items(more=lambda n: {"x": n} if n == 3 else None)),
        "json-array": Case(
            kind,
            "one JSON array",
            {"items.csv": None, "items.json": json.dumps([dict(zip(ITEM_NAMES, row, strict=True)) for row in ITEMS])},
            READ,
            ("array", "one object"),
        ),
        "json-python": Case(
            kind,
            "Python literals",
            {"items.csv": None, "items.json": "".join(f"{dict(zip(ITEM_NAMES, row, strict=True))}\n" for row in ITEMS)},
            READ,
            ("python",),
        ),
        "parquet-map": Case(
            kind, "a map", store_items(pa.array([[("a", "b")]] * 10, pa.map_(pa.string(), pa.string())))
        ),
        "parquet-records": Case(kind, "records in lists", store_items(pa.array([[{"a": 1}]] * 10))),
        "parquet-vector": Case(kind, "vectors", store_items(pa.array([[0.5] * 4] * 10, pa.list_(pa.float32(), 4)))),
        "parquet-binary": Case(kind, "bytes", store_items(pa.array([b"\xff\x00"] * 10))),
        "parquet-decimal": Case(kind, "decimals", store_items(pa.array([Decimal("9.90")] * 10))),
        "parquet-time": Case(kind, "durations", store_items(pa.array([5] * 10, pa.duration("s")))),
        "parquet-damaged": Case(
            kind, "half a file", {"items.csv": None, "items.parquet": b"PAR1 half"}, None, ("damaged", "cut")
        ),
        "parquet-lfs": Case(
            kind,
            "a pointer of Git LFS",
            {"items.csv": None, "items.parquet": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"},
            None,
            ("lfs", "pointer", "parquet"),
        ),
        "price-bad-cell": Case(kind, "a price n/a among numbers", {"items.csv": spell(priced, (*ITEM_NAMES, "price"))}),
        "weight-comma": Case(kind, "a weight 1,5", {"interactions.csv": spell(weighed, (*NAMES, "weight"))}),
        "titles-short": Case(kind, "titles It, Up, M, 9, Lost", {"items.csv": spell(short, ITEM_NAMES)}),
        "title-popular-bad": Case(
            kind,
            "a quarantined item has a third of the interactions",
            {
                "items.csv": spell([*ITEMS[:9], ("i9", "?")], ITEM_NAMES),
                "interactions.csv": spell(
                    [(u, "i9" if n % 3 == 0 else i, t) for n, (u, i, t) in enumerate(INTERACTIONS)], NAMES
                ),
            },
            None,
            ("quarantine", "title"),
        ),
    }


def _list_one_table() -> dict[str, Case]:
    kind = "one file for both tables"
    titles = dict(ITEMS)
    rows = [
        (n, item, titles[item] if n % 11 else "damaged", 1, replace_times(str)[n][2], "" if n % 8 == 0 else user)
        for n, (user, item, _) in enumerate(INTERACTIONS)
    ]
    names = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "CustomerID")
    files = {"items.csv": None, "interactions.csv": None, "sales.csv": spell(rows, names)}
    mapped = {
        "items_file": "sales.csv",
        "interactions_file": "sales.csv",
        "item_columns": {"item_id": "StockCode", "title": "Description"},
        "interaction_columns": {"user_id": "CustomerID", "timestamp": "InvoiceDate"},
    }
    expected = {**READ, "interactions.valid": 42, "interactions.rejected": 6}
    return {
        "invoices": Case(
            kind,
            "invoices, customers missing",
            files,
            expected,
            settings={"data": {**mapped, "rows_without_user": "leave_out"}},
        ),
        "invoices-strict": Case(kind, "the same, not left out", files, None, ("user",), {"data": mapped}),
    }


CASES: Mapping[str, Case] = {
    **_list_dialects(),
    **_list_files(),
    **_list_ids(),
    **_list_clocks(),
    **_list_values(),
    **_list_one_table(),
}
"""All cases by name."""
