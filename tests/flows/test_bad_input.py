"""Bad input, through the real command line: one clear message, a non-zero exit, nothing half-written."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.synthetic_tables import INTERACTIONS, ITEMS, write_tables
from tests.flows.workplace import Finished, Workplace
from tests.small_disk import small_disk

HEADER = "user_id,item_id,timestamp\n"
UNFINISHED = re.compile(r"\.partial|\.tmp$|/\.unfinished|\.plain")


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def assert_stopped(done: Finished, *, headline: str, what: str, where: str, fix: str) -> None:
    """One message of four parts, in this order, and none of them twice."""
    assert done.code != 0
    assert "Traceback" not in done.said
    found = [done.said.find(part) for part in (headline, what, where, f"What to do: {fix}")]
    assert -1 not in found, done.said
    assert found == sorted(found), done.said
    assert done.said.count(headline) == done.said.count("What to do:") == done.said.count("Where:") == 1


def assert_nothing_half_written(place: Workplace) -> None:
    own = {name for name in place.left() if not name.startswith((".metaflow/", "metaflow_home/"))}
    assert not {name for name in own if UNFINISHED.search(name)}


def assert_nothing_but_the_snapshot(place: Workplace) -> None:
    """What could not be read is there as it was recorded, and nothing was made of it."""
    assert {name.split("/")[0] for name in place.left(".learn")} <= {"data"}
    assert place.left("reports") == set()


def assert_no_trace(place: Workplace) -> None:
    """As if the command had not been given: no data version, no workspace, no reports."""
    assert {path.name for path in place.folder.iterdir()} <= {".metaflow", "metaflow_home", "data", "settings.toml"}


# --- Before anything is done with the data ----------------------------------------------------------------


def test_a_missing_folder(place: Workplace) -> None:
    done = place.flow("run", "--data", "nowhere")
    assert_stopped(
        done,
        headline="The data cannot be read",
        what="There is no such data folder.",
        where="Where: nowhere",
        fix="give --data",
    )
    assert_no_trace(place)


def test_an_unknown_encoder(place: Workplace) -> None:
    write_tables(place.folder / "data")
    done = place.flow("run", "--encoder", "all-MiniLM-L7-v2")
    assert_stopped(
        done,
        headline="The encoder cannot be loaded",
        what="There is no encoder `all-MiniLM-L7-v2` on this machine.",
        where="Where: content.encoder",
        fix="did you mean `all-MiniLM-L6-v2`?",
    )
    assert_no_trace(place)


@pytest.mark.parametrize(
    ("option", "setting", "wrong", "nearest"),
    [
        ("--split", "split.method", "by_dat", "by_date"),
        pytest.param("--on-drift", "drift.on_drift", "fial", "fail", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_word_for_an_option(place: Workplace, option: str, setting: str, wrong: str, nearest: str) -> None:
    write_tables(place.folder / "data")
    done = place.flow("run", option, wrong)
    assert_stopped(
        done,
        headline="The settings are wrong",
        what=f"Setting `{setting}`: Input should be",
        where="Where: command line",
        fix=f"did you mean `{nearest}`?",
    )
    assert_no_trace(place)


def test_a_missing_folder_of_newer_traffic_is_no_news_after_training(place: Workplace) -> None:
    write_tables(place.folder / "data")
    done = place.flow("run", "--current", "nowhere")
    assert_stopped(
        done,
        headline="The data cannot be read",
        what="There is no such folder.",
        where="Where: nowhere",
        fix="give the folder",
    )
    assert_no_trace(place)


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("[training]\nepoch = 3\n", "There is no setting `training.epoch`.", "did you mean `epochs`?"),
        ('[split]\nmethod = "bydate"\n', "Setting `split.method`: Input should be", "did you mean `by_date`?"),
        ("[training\nepochs = 3\n", "This file is not valid TOML", "correct the line that the message names"),
    ],
)
def test_a_wrong_settings_file(place: Workplace, text: str, what: str, fix: str) -> None:
    done = place.flow("run", settings=text)
    assert_stopped(done, headline="The settings are wrong", what=what, where="Where: settings file", fix=fix)
    assert_no_trace(place)


def test_a_missing_settings_file(place: Workplace) -> None:
    command = place.command("run", config=Path("nowhere.toml"))
    done = subprocess.run(
        command, cwd=place.folder, env=place.environment, capture_output=True, text=True, check=False, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "configuration file 'nowhere.toml' could not be read" in said
    assert "Traceback" not in said
    assert_no_trace(place)


@pytest.mark.slow
def test_a_model_in_production_that_is_not_there(place: Workplace) -> None:
    write_tables(place.folder / "data")
    done = place.flow("run", "--production", "nowhere")
    assert_stopped(
        done,
        headline="The bundle cannot be used",
        what="There is no train run `nowhere`.",
        where="Where: --production nowhere",
        fix="give the id of a finished train run",
    )
    assert_no_trace(place)


def test_an_unknown_data_version(place: Workplace) -> None:
    write_tables(place.folder / "data")
    done = place.flow("run", "--data-version", "0123456789abcdef")
    assert_stopped(
        done,
        headline="The data version is not available",
        what="There is no data version `0123456789abcdef`.",
        where="Where: data",
        fix="no version is known here",
    )
    assert place.left("data") == {"items.csv", "interactions.csv"}
    assert not (place.folder / ".learn").exists()


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ({"items.csv": ITEMS}, "There is no file for the table `interactions`."),
        ({"items.csv": ITEMS, "interactions.xlsx": "PK"}, "There is no file for the table `interactions`."),
        ({"items.csv": ITEMS, "interactions.csv": ""}, "The file is empty (0 bytes)."),
        (
            {"items.csv": ITEMS, "items.tsv": ITEMS, "interactions.csv": INTERACTIONS},
            "More than one file could be the table `items`",
        ),
        (
            {"items.csv": ITEMS, "interactions.csv": INTERACTIONS.replace("user_id", "usr_id")},
            "There is no column `user_id`.",
        ),
        ({"items.jsonl": '{"item_id": 1}\n', "interactions.csv": INTERACTIONS}, "There is no column `title`."),
    ],
)
def test_a_folder_that_is_not_usable_is_copied_nowhere(place: Workplace, names: dict[str, str], what: str) -> None:
    (place.folder / "data").mkdir()
    for name, text in names.items():
        (place.folder / "data" / name).write_text(text, encoding="utf-8")
    done = place.flow("run")
    assert_stopped(done, headline="The data cannot be read", what=what, where="Where: data", fix="")
    assert_no_trace(place)


# --- Tables that cannot be read ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "interactions", "what", "where", "fix"),
    [
        pytest.param(
            ITEMS, HEADER, "The table is empty", "data/interactions.csv", "export the table again", id="empty table"
        ),
        pytest.param(
            ITEMS,
            INTERACTIONS.replace("user_id", "usr_id"),
            "There is no column `user_id`.",
            "data/interactions.csv",
            "there is `usr_id`, did you mean to map it?",
            id="misnamed column",
        ),
        pytest.param(
            ITEMS,
            HEADER + "u1,i1,soon\nu1,i2,later\n",
            "No timestamp can be read; the first is `soon`.",
            "data/interactions.csv, data row 0",
            "write numbers",
            id="timestamp that is text",
        ),
    ],
)
def test_a_table_that_cannot_be_read(
    place: Workplace, items: str, interactions: str, what: str, where: str, fix: str
) -> None:
    write_tables(place.folder / "data", items=items, interactions=interactions)
    done = place.flow("run")
    assert_stopped(done, headline="The data cannot be read", what=what, where=where, fix=fix)
    assert_nothing_half_written(place)
    assert_nothing_but_the_snapshot(place)


@pytest.mark.slow
def test_a_file_cut_off_in_the_middle(place: Workplace) -> None:
    data = write_tables(place.folder / "data")
    # Of noise, so that half of the compressed file is really missing.
    whole = gzip.compress(
        (INTERACTIONS + "".join(f"{os.urandom(9).hex()},i1,2024-05-01\n" for _ in range(500))).encode()
    )
    (data / "interactions.csv").unlink()
    (data / "interactions.csv.gz").write_bytes(whole[: len(whole) // 2])
    done = place.flow("run")
    assert_stopped(
        done,
        headline="The data cannot be read",
        what="The file is cut off in the middle.",
        where="data/interactions.csv.gz",
        fix="copy or download it again",
    )
    assert_nothing_half_written(place)
    assert_nothing_but_the_snapshot(place)


# --- Tables that fail their checks ------------------------------------------------------------------------


def assert_reported_but_not_used(place: Workplace) -> None:
    """What validation promises: the report and the quarantine, and no valid table that a later run could take."""
    assert_nothing_half_written(place)
    (run,) = (place.folder / "reports").iterdir()
    assert {path.name for path in run.iterdir()} == {"validation.html", "quarantine.parquet"}
    assert {Path(name).parent.name for name in place.left(".learn", "prepared")} == {"raw"}


def test_two_items_with_one_id(place: Workplace) -> None:
    write_tables(place.folder / "data", items=f"{ITEMS}i1,Another leather boot\n")
    done = place.flow("run")
    assert_stopped(
        done,
        headline="The data failed validation",
        what="Two items have the id `i1`: rows 1 and 8",
        where="data/items.csv",
        fix="give each item one row",
    )
    assert_reported_but_not_used(place)


@pytest.mark.slow
def test_no_user_with_two_interactions(place: Workplace) -> None:
    alone = HEADER + "".join(f"u{user},i{user % 8},2024-01-01\n" for user in range(9))
    write_tables(place.folder / "data", interactions=alone)
    done = place.flow("run")
    assert_stopped(
        done,
        headline="The data failed validation",
        what="There is no user with two interactions",
        where="data/interactions.csv",
        fix="give a table in which users have two interactions",
    )
    assert_reported_but_not_used(place)


@pytest.mark.slow
def test_too_many_bad_rows(place: Workplace) -> None:
    write_tables(place.folder / "data", items=f"{ITEMS}i8,?\ni9,unknown\ni10,n/a\n")
    done = place.flow("run")
    assert_stopped(
        done,
        headline="The data failed validation",
        what="3 of 11 rows of the items failed their checks",
        where="data/items.csv",
        fix="open ",
    )
    worst = done.said[done.said.index("Worst:") :]
    assert worst.index("title_placeholder") < worst.index("For example")
    for row in ("row 8, i8: ?", "row 9, i9: unknown", "row 10, i10: n/a"):
        assert row in worst
    assert_reported_but_not_used(place)


# --- The disk ---------------------------------------------------------------------------------------------


@pytest.fixture
def full_disk(place: Workplace) -> Iterator[Path]:
    """A workspace of 64 kB, on a disk of its own."""
    with small_disk(place.folder / ".learn", kilobytes=64) as disk:
        yield disk


@pytest.mark.slow
def test_a_full_disk(place: Workplace, full_disk: Path) -> None:
    rows = "".join(f"x{row},{os.urandom(60).hex()}\n" for row in range(2_000))
    write_tables(place.folder / "data", items=ITEMS + rows)
    done = place.flow("run")
    assert_stopped(
        done,
        headline="The disk cannot be written",
        what="No space is left on the disk.",
        where=str(full_disk),
        fix="free some",
    )
    # The snapshot takes no room: it is links.
    assert {path.name for path in full_disk.iterdir()} == {"data"}
    assert place.left("reports") == set()
