"""The page and the figures of the quality benchmark, from results that were synthetic."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.quality.jobs import COLD, plan
from benchmarks.quality.page import PUBLISHED, write_page
from benchmarks.quality.results import Results
from tests.benchmarks.synthetic_results import BASELINES, DIGESTS, write_made_up_results

FIGURES = {
    *(f"{case}_{protocol}_{metric}10" for case in ("scientific", "games") for protocol in ("masked", "unmasked")
      for metric in ("recall", "ndcg")),
    "scientific_blend_masked_ndcg10",
    "games_blend_masked_ndcg10",
    "cold_recall10",
    "cold_popularity_recall10",
    "time_to_recbole_ratio",
    "evaluation_rate_ratio",
    "memory_ratio",
}  # fmt: skip


def written(folder: Path, **options: Any) -> tuple[str, dict[str, Any]]:
    results = Results(folder / "work")
    write_made_up_results(plan(), results, **options)
    page = write_page(plan(), digests=DIGESTS, results=results, folder=folder / "out")
    return page.read_text(encoding="utf-8"), json.loads((folder / "out" / "quality.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("whole")
    return *written(folder), folder / "out"


def part(page: str, title: str) -> str:
    """The text below a heading, up to the next one of its level."""
    level = title.split(" ")[0]
    after = page.split(f"\n{title}\n", 1)[1]
    return re.split(rf"\n#{{1,{len(level)}}} ", after)[0]


def blocks(page: str) -> list[str]:
    """Every table."""
    return [block for block in page.split("\n\n") if block.startswith("| ")]


def test_every_row_stands_in_the_tables_of_its_set(whole: tuple[str, dict[str, Any], Path]) -> None:
    page = whole[0]
    closed = {"popularity", "content neighbours", "transitions", "TF-IDF neighbours", "EASE", "blend"}
    assert len(closed) == len(BASELINES)
    for case, more in (("scientific", {"paper, 10 epochs at most"}), ("games", {"towers, full softmax"})):
        masked = part(part(page, f"## `{case}`"), "### History masked")
        unmasked = part(part(page, f"## `{case}`"), "### Nothing masked, the published protocol")
        for label in {*closed, *more, "**towers**", "SASRec (IDs alone)"}:
            assert f"| {label}" in masked
        for label in {*closed, "**towers**", "SASRec (IDs alone)", *PUBLISHED[case]}:
            assert f"| {label}" in unmasked


def test_a_set_that_is_there_for_its_cold_items_shows_all_its_users_too(
    whole: tuple[str, dict[str, Any], Path],
) -> None:
    shop = part(whole[0], "## `online_retail`")
    for title in ("### History masked", "### Nothing masked"):
        table = part(shop, title)
        for label in ("**towers**", "blend", "EASE"):
            assert f"| {label}" in table
    assert "0 of the targets are what the user had bought before" in shop


def test_no_table_holds_both_protocols(whole: tuple[str, dict[str, Any], Path]) -> None:
    ranked = [block for block in blocks(whole[0]) if re.search(r"\b0\.\d{4}", block)]
    assert len(ranked) > 8
    for block in ranked:
        # Published figures are unmasked, and so are in no masked table.
        assert not ("history masked" in block.splitlines()[0] and "published" in block)
        assert not ("history masked" in block and "history unmasked" in block.splitlines()[0])


def test_masked_tables_hold_masked_figures_and_unmasked_tables_the_others(
    whole: tuple[str, dict[str, Any], Path],
) -> None:
    # A rank of 1 is 1.5 if nothing is masked: NDCG of a fifth of hits is .2, and .2 / log2(2.5) = .1513.
    case = part(whole[0], "## `scientific`")
    for title, ndcg in (("### History masked", "0.2000"), ("### Nothing masked, the published protocol", "0.1513")):
        line = next(line for line in part(case, title).splitlines() if line.startswith("| **towers**"))
        assert line.split(" | ")[2].startswith(ndcg)


def test_the_figures_are_those_that_were_asked_for(whole: tuple[str, dict[str, Any], Path]) -> None:
    found = whole[1]
    assert set(found) == {"figures", "machine", "versions", "commit", "seeds"}
    assert set(found["figures"]) == FIGURES
    assert found["figures"]["scientific_masked_recall10"] == pytest.approx(0.2)
    assert found["figures"]["games_unmasked_ndcg10"] == pytest.approx(0.1513, abs=1e-4)
    assert found["figures"]["cold_popularity_recall10"] == 0
    assert found["figures"]["evaluation_rate_ratio"] == 8
    assert found["seeds"] == [0, 1, 2]


def test_the_machine_is_named_with_the_arithmetic_that_its_towers_take(
    whole: tuple[str, dict[str, Any], Path],
) -> None:
    assert "- machine: made up with bfloat16, 2 cores" in whole[0]


def test_times_of_two_machines_are_not_set_beside_each_other_in_silence(
    whole: tuple[str, dict[str, Any], Path], tmp_path: Path
) -> None:
    warning = "Each was trained on another machine"
    assert warning not in part(whole[0], "## Sampled softmax")
    results = Results(tmp_path / "work")
    write_made_up_results(plan(), results)
    key = next(job for job in plan() if job.row == "towers_full_softmax").compute_key(DIGESTS["games"])
    record = results.read(key)
    record["machine"]["bfloat16"] = False
    results.write(key, record, {"all": results.read_ranks(key)})
    page = write_page(plan(), digests=DIGESTS, results=results, folder=tmp_path / "out")
    assert warning in part(page.read_text(encoding="utf-8"), "## Sampled softmax")


def test_every_bar_is_met_or_missed_by_the_figures(whole: tuple[str, dict[str, Any], Path]) -> None:
    bars = part(whole[0], "## The bars")
    assert "not measured |" not in bars
    verdicts = {
        "`scientific`: Recall@10 / NDCG@10": "met",
        "above the blend of closed forms": "met",
        "held out of training": "met",
        "each user's first unseen item": "met",
        "in bfloat16, less that in float32": "**missed**",
        "users ranked per second": "**missed**",
        "each closed form reaches": "**missed**",
    }
    for what, verdict in verdicts.items():
        lines = [line for line in bars.splitlines() if what in line]
        assert lines
        assert all(line.endswith(f"| {verdict} |") for line in lines)


def test_a_loss_is_said_and_a_mean_of_too_few_seeds_decides_nothing(tmp_path: Path) -> None:
    page, found = written(tmp_path, hits=0.1, without=["games/towers/masked/2"])
    bars = part(page, "## The bars")
    assert found["figures"]["scientific_masked_recall10"] == pytest.approx(0.1)
    assert "| **towers** | 0.1000" in page
    scientific, games = (
        next(line for line in bars.splitlines() if f"`{case}`: Recall@10 / NDCG@10" in line)
        for case in ("scientific", "games")
    )
    assert scientific.endswith("| 0.1000 / 0.1000, seeds 0, 1, 2 | **missed** |")
    assert games.endswith("| 0.1000 / 0.1000, seeds 0, 1 | too few seeds |")


def test_what_was_not_done_is_named_and_has_no_figure(tmp_path: Path) -> None:
    without = [job.name for job in plan() if job.case == "games" or job.kind == "speed" or job.case in COLD]
    page, found = written(tmp_path, without=without)
    assert not any(name.startswith(("games", "cold", "memory")) for name in found["figures"])
    assert "games/towers/masked/1" in page.split("Not measured:")[1]
    assert "## `games`" not in page
    assert "not measured |" in part(page, "## The bars")


def test_the_page_is_made_again_of_what_was_kept(tmp_path: Path) -> None:
    kept = tmp_path / "out" / "quality-results"
    results = Results(tmp_path / "work", kept=kept)
    write_made_up_results(plan(), results)
    (kept / "of-an-older-page.json").parent.mkdir(parents=True)
    (kept / "of-an-older-page.json").write_text("{}")
    first, again = (
        write_page(plan(), digests=DIGESTS, results=each, folder=tmp_path / "out").read_text(encoding="utf-8")
        for each in (results, Results(tmp_path / "another machine", kept=kept))
    )
    assert first == again
    assert not (kept / "of-an-older-page.json").exists()
    key = plan()[0].compute_key(DIGESTS["scientific"])
    assert not {"user", "target"} & set(pl.read_parquet(kept / f"{key}.all.parquet").columns)
    assert set(json.loads((kept / f"{key}.json").read_text())["metrics"]) == {"validation", "test"}


def test_a_job_that_is_done_anew_is_kept_no_longer(tmp_path: Path) -> None:
    results = Results(tmp_path / "work", kept=tmp_path / "kept")
    write_made_up_results(plan(), results)
    job = plan()[0]
    key = job.compute_key(DIGESTS[job.case])
    results.keep({key})
    there = Results(tmp_path / "another machine", kept=tmp_path / "kept")
    assert there.has(key)
    assert [record["name"] for record in there.list_earlier()] == [job.name]
    there.forget(key)
    assert not there.has(key)


def test_a_page_of_nothing_is_written_all_the_same(tmp_path: Path) -> None:
    page, found = written(tmp_path, without=[job.name for job in plan()])
    assert found["figures"] == {}
    assert "0 met, 0 missed" in page


def test_every_picture_that_the_page_shows_is_there(whole: tuple[str, dict[str, Any], Path]) -> None:
    page, _, folder = whole
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert len(shown) == 6
    for name in shown:
        assert (folder / name).read_text(encoding="utf-8").startswith("<svg")
