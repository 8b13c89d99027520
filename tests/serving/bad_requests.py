"""Requests that are not right, manually and by chance; each must get a 4xx."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

# (field that the answer must name, body)
BAD_BODIES: list[tuple[str, str]] = [
    ("history", "{}"),
    ("history", '{"k": 3}'),
    ("history", '{"history": null}'),
    ("history", '{"history": "item 1"}'),
    ("history", '{"history": {"0": "item 1"}}'),
    ("history", '{"history": [1, 2]}'),
    ("history", '{"history": [null]}'),
    ("history", '{"history": [NaN]}'),
    ("history", '{"history": [["item 1"]]}'),
    ("history", '{"history": [""]}'),
    ("k", '{"history": [], "k": 0}'),
    ("k", '{"history": [], "k": -1}'),
    ("k", '{"history": [], "k": 1001}'),
    ("k", '{"history": [], "k": 99999999999999999999999999999999}'),
    ("k", '{"history": [], "k": 1.5}'),
    ("k", '{"history": [], "k": 1e400}'),
    ("k", '{"history": [], "k": NaN}'),
    ("k", '{"history": [], "k": "10"}'),
    ("k", '{"history": [], "k": true}'),
    ("k", '{"history": [], "k": null}'),
    ("exclude_seen", '{"history": [], "exclude_seen": "yes"}'),
    ("exclude_seen", '{"history": [], "exclude_seen": 1}'),
    ("histroy", '{"history": [], "histroy": []}'),
    ("history", json.dumps({"history": ["a"] * 10_001})),
    ("body", ""),
    ("body", "   "),
]

# Not even JSON, or no object: there is no field to name.
BROKEN_BODIES: list[bytes] = [
    b"{",
    b"[",
    b"[]",
    b"null",
    b"NaN",
    b'"history"',
    b'{"history": [}',
    b'{"history": ["a"]} trailing',
    b'{"history": ["\xff\xfe"]}',
    b'{"history": ["\\ud800"]}',
    b"\x00",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    "{\u201chistory\u201d: []}".encode(),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def _is_right(body: Any) -> bool:
    if not isinstance(body, dict) or not set(body) <= {"history", "k", "exclude_seen"}:
        return False
    history, k, exclude_seen = body.get("history"), body.get("k", 10), body.get("exclude_seen", True)
    return (
        isinstance(history, list)
        and all(isinstance(item, str) and item for item in history)
        and type(k) is int
        and 1 <= k <= 1_000
        and isinstance(exclude_seen, bool)
    )


bad_objects = st.fixed_dictionaries(
    {}, optional={"history": json_values, "k": json_values, "exclude_seen": json_values, "other": json_values}
)
bad_bodies = (bad_objects | json_values).filter(lambda body: not _is_right(body)).map(json.dumps)
any_bytes = st.binary(max_size=200) | bad_bodies.map(str.encode)
content_types = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-16",
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/vnd.bentoml+pickle",
        "APPLICATION/VND.BENTOML+PICKLE",
        "",
        ";",
    ]
)
