"""Batch export: everybody's list as the service would answer it, in files that are whole or not there."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from rich.console import Console

from learn.cli import learn
from learn.errors import DataError
from learn.registry.bundle import Bundle
from learn.registry.promotion import promote
from learn.registry.store import store_bundle
from learn.serving import exporter as export_room
from learn.serving import exporter as export_users
from learn.serving import recommender
from learn.serving.exporter import export
from learn.serving.recommender import Recommender
from tests.registry.test_start_bundle import split, tables
from tests.serving.synthetic_model import item_id, made_up_histories

FILES = {"user_vectors.parquet", "item_vectors.parquet", "recommendations.parquet", "export.json"}
HISTORIES = {f"u{n:03}": history for n, history in enumerate(made_up_histories(60))} | {
    "stranger": ["nothing we sell", "nor this"],
    "half known": ["nothing we sell", item_id(3)],
}


def table(histories: dict[str, list[str]] = HISTORIES) -> pl.DataFrame:
    """All interactions, the newest first: the order of the rows is not the order of time."""
    rows = [(user, item, at) for user, items in histories.items() for at, item in enumerate(items)]
    return pl.DataFrame(rows[::-1], schema=["user_id", "item_id", "timestamp"], orient="row")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "people.csv"
    table().write_csv(path)
    return path


def lists(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["user_id"]: row for row in pl.read_parquet(folder / "recommendations.parquet").to_dicts()}


def test_every_list_is_the_one_that_is_served(bundle: Bundle, users: Path, tmp_path: Path) -> None:
    done = export(bundle, users, tmp_path / "out", k=7)
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
    recommender, found = Recommender(bundle), lists(tmp_path / "out")
    assert found.keys() == HISTORIES.keys()
    for user, history in HISTORIES.items():
        served = recommender.recommend(history, k=7)
        assert found[user]["items"] == [item.item_id for item in served.items]
        assert found[user]["scores"] == pytest.approx([item.score for item in served.items])
        assert found[user]["fallback"] == served.fallback
        assert found[user]["history_length"] == len(history)
    assert found["half known"]["unknown_items"] == 1
    assert (done.users, done.fallbacks, done.left_out) == (62, 1, 0)
    said = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (said["model_version"], said["k"], said["items"]) == (bundle.version, 7, len(bundle.items))


def test_vectors_score_as_the_lists_do(bundle: Bundle, users: Path, tmp_path: Path) -> None:
    export(bundle, users, tmp_path, k=3)
    items = pl.read_parquet(tmp_path / "item_vectors.parquet")
    assert items["item_id"].to_list() == bundle.item_ids
    np.testing.assert_array_equal(items["vector"].to_numpy(), bundle.item_vectors)
    vectors = pl.read_parquet(tmp_path / "user_vectors.parquet")
    found = lists(tmp_path)
    assert vectors["user_id"].to_list() == list(found)
    for user, vector in vectors.iter_rows():
        if user == "stranger":
            assert vector is None
            continue
        rows = [bundle.item_ids.index(item) for item in found[user]["items"]]
        np.testing.assert_allclose(
            bundle.item_vectors[rows] @ np.array(vector, np.float32), found[user]["scores"], atol=1e-5
        )


def test_the_same_comes_out_whatever_the_memory_holds(
    bundle: Bundle, users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(bundle, users, tmp_path / "whole")
    monkeypatch.setattr(export_users, "_PART_ROWS", 100)
    monkeypatch.setattr(export_users, "_BLOCK_USERS", 3)
    monkeypatch.setattr(recommender, "_MOST_USERS", 2)
    export(bundle, users, tmp_path / "parts")
    parts, whole = lists(tmp_path / "parts"), lists(tmp_path / "whole")
    assert {user: row["items"] for user, row in parts.items()} == {user: row["items"] for user, row in whole.items()}
    vectors = [pl.read_parquet(tmp_path / name / "user_vectors.parquet").sort("user_id") for name in ("parts", "whole")]
    few, many = (each.filter(pl.col("vector").is_not_null())["vector"].to_numpy() for each in vectors)
    np.testing.assert_allclose(few, many, atol=1e-6)


@pytest.mark.parametrize("name", ["interactions.parquet", "interactions.jsonl", "interactions.tsv"])
def test_a_folder_and_every_format_can_be_read(name: str, bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    rows = table()
    if name.endswith("parquet"):
        rows.write_parquet(source / name)
    elif name.endswith("jsonl"):
        rows.write_ndjson(source / name)
    else:
        rows.write_csv(source / name, separator="\t")
    assert export(bundle, source, tmp_path / "out").users == len(HISTORIES)
    assert sorted(file.name for file in source.iterdir()) == [name]


def test_histories_of_a_run_can_be_read(bundle: Bundle, tmp_path: Path) -> None:
    histories = split(tables(tmp_path / "shop", count=40))
    done = export(bundle, histories, tmp_path / "out")
    assert done.users == len(lists(tmp_path / "out")) > 0
    assert done.left_out == 0


def test_rows_that_say_nothing_are_left_out_and_counted(bundle: Bundle, tmp_path: Path) -> None:
    rows = table({"u": [item_id(1), item_id(2)]})
    nothing = pl.DataFrame({"user_id": [None, "u"], "item_id": [item_id(3), None], "timestamp": [5, 6]})
    pl.concat([rows, nothing], how="vertical_relaxed").write_parquet(tmp_path / "people.parquet")
    done = export(bundle, tmp_path / "people.parquet", tmp_path / "out")
    assert (done.users, done.interactions, done.left_out) == (1, 4, 2)
    assert lists(tmp_path / "out")["u"]["history_length"] == 2


def test_a_fault_in_the_middle_leaves_nothing_or_what_was_there(
    bundle: Bundle, users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "out"

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recommender, "recommend_together", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(bundle, users, out)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    export(bundle, users, out, k=2)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    monkeypatch.setattr(Recommender, "recommend_together", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(bundle, users, out, k=3)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_a_log_shows_how_far_it_is(
    bundle: Bundle, users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_room, "_LINE_SECONDS", 0.0)
    shown = io.StringIO()
    export(bundle, users, tmp_path / "out", console=Console(file=shown, width=200))
    assert "Exported 62 users" in shown.getvalue()
    assert "users/s" in shown.getvalue()
    assert "s left" in shown.getvalue()


def test_a_terminal_shows_interactions_and_users_a_second(bundle: Bundle, users: Path, tmp_path: Path) -> None:
    shown = io.StringIO()
    done = export(bundle, users, tmp_path / "out", console=Console(file=shown, force_terminal=True, width=200))
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.getvalue())
    total = done.interactions
    assert re.search(rf"{total}/{total} interactions, [\d,]+ users/s", plain)


def test_a_destination_that_is_a_file_is_refused_before_any_work(bundle: Bundle, users: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DataError, match="this is a file, not a folder"):
        export(bundle, users, tmp_path / "out")


def test_the_command_takes_a_folder_or_an_alias(
    bundle_folder: Path, bundle: Bundle, users: Path, tmp_path: Path
) -> None:
    store_bundle(bundle_folder, name="exported")
    promote("exported", bundle.version, reason="a test", by="a test")
    for n, wanted in enumerate((str(bundle_folder), "champion", bundle.version[:6])):
        words = ["export", "--bundle", wanted, "--users", str(users), "--out", str(tmp_path / str(n)), "--k", "3"]
        done = CliRunner().invoke(learn, [*words, "--name", "exported"])
        assert done.exit_code == 0, done.output
        assert f"Bundle {bundle.version}: 62 users" in done.output
        assert "Of 1 users no item is known" in done.output
    assert lists(tmp_path / "0") == lists(tmp_path / "1")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"--users": "nowhere.csv"}, "no such file or folder"), ({"--bundle": "champion"}, "has no model `not_there`")],
)
def test_a_mistake_is_told_in_words(
    change: dict[str, str], said: str, bundle_folder: Path, users: Path, tmp_path: Path
) -> None:
    options = {"--bundle": str(bundle_folder), "--users": str(users), "--out": str(tmp_path / "out")} | change
    words = [word for option in options.items() for word in option]
    done = CliRunner().invoke(learn, ["export", *words, "--name", "not_there"])
    assert done.exit_code == 1
    assert said in done.output
    assert not (tmp_path / "out").exists()
