"""`learn data check`: what a training would find in a folder, for people and for machines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from learn.cli import learn
from learn.config import Settings
from learn.data.check import check_folder


def write_folder(folder: Path, *, users: int = 20, days: int = 6, bad_titles: int = 0, first: float = 1.7e9) -> None:
    """Items 0 to 9; each user takes one item a day, the last one twice at one time."""
    folder.mkdir(parents=True)
    titles = ["?" if item < bad_titles else f"A steel kettle of kind {item}" for item in range(10)]
    items = ["item_id,title", *(f"i{item},{title}" for item, title in enumerate(titles))]
    (folder / "items.csv").write_text("\n".join(items) + "\n", encoding="utf-8")
    rng = np.random.default_rng(0)
    rows = ["user_id,item_id,timestamp"]
    for user in range(users):
        start = int(rng.integers(100))
        taken = [(user + day) % 10 for day in range(days)]
        moments = [first + 86_400 * (start + day) for day in range(days)]
        rows += [f"u{user},i{item},{moment:.0f}" for item, moment in zip(taken, moments, strict=True)]
        rows.append(f"u{user},i{(taken[-1] + 1) % 10},{moments[-1]:.0f}")
    (folder / "interactions.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def check(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(learn, ["data", "check", str(folder), *words])


def test_a_good_folder_is_counted_and_nothing_is_left_behind(tmp_path: Path) -> None:
    write_folder(tmp_path / "shop")
    before = sorted(tmp_path.rglob("*"))
    done = check(tmp_path / "shop", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["items"] == {"rows": 10, "valid": 10, "quarantined": 0, "rejected": 0}
    assert found["interactions"] == {"rows": 140, "valid": 140, "quarantined": 0, "rejected": 0}
    assert (found["users"], found["items_used"], found["error"]) == (20, 10, None)
    assert (found["timestamp_unit"], found["split"]) == ("seconds", "by_date")
    assert found["first"].startswith("2023-11-")
    assert found["basket_share"] == round(40 / 140, 4)
    assert found["repeat_share"] == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_repeats_are_counted(tmp_path: Path) -> None:
    write_folder(tmp_path / "shop", days=15)
    # Fifteen days over ten items, and one more on the last: six of sixteen were had before.
    assert check_folder(tmp_path / "shop", settings=Settings()).repeat_share == round(6 / 16, 4)


def test_an_order_has_no_dates(tmp_path: Path) -> None:
    write_folder(tmp_path / "shop", first=0)
    settings = Settings.from_mapping({"validation": {"timestamps": "order"}})
    found = check_folder(tmp_path / "shop", settings=settings)
    assert (found.timestamp_unit, found.first, found.last, found.split) == ("order", None, None, "leave_one_out")


def test_quarantined_rows_are_counted_and_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "shop", bad_titles=1)
    words = ("--set", "validation.max_quarantined_share=0.5")
    found = json.loads(check(tmp_path / "shop", *words, "--json").stdout)
    assert found["items"] == {"rows": 10, "valid": 9, "quarantined": 1, "rejected": 0}
    counts = found["interactions"]
    assert counts["rows"] == counts["valid"] + counts["quarantined"] + counts["rejected"] == 140
    assert counts["quarantined"] > 0
    lines = check(tmp_path / "shop", *words).stdout
    assert "10 rows: 9 valid, 1 quarantined, 0 rejected" in lines
    assert "items: 1 rows fail: " in lines


@pytest.mark.parametrize("as_json", [True, False])
def test_a_folder_that_a_training_would_refuse_ends_with_2_and_says_why(tmp_path: Path, as_json: bool) -> None:
    write_folder(tmp_path / "shop", bad_titles=8)
    done = check(tmp_path / "shop", *(["--json"] if as_json else []))
    assert done.exit_code == 2
    said = json.loads(done.stdout)["error"] if as_json else done.stderr
    assert "quarantin" in said or "failed their checks" in said
    missing = check(tmp_path / "nowhere", "--json")
    assert missing.exit_code == 2
    assert "nowhere" in json.loads(missing.stdout)["error"]
