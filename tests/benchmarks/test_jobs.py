"""The jobs of the quality benchmark, and the keys by which their results are found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality.command import main
from benchmarks.quality.jobs import COLD, Job, compute_digests, plan
from benchmarks.quality.runner import select_jobs
from learn.errors import DataError, SettingsError
from tests.benchmarks.synthetic_data import write_made_up_set


def the_job(name: str, jobs: tuple[Job, ...]) -> Job:
    return next(job for job in jobs if job.name == name)


def test_every_job_has_a_name_of_its_own() -> None:
    names = [job.name for job in plan()]
    assert len(set(names)) == len(names)


def test_both_sets_have_every_row_under_both_protocols() -> None:
    names = {job.name for job in plan()}
    for case in ("scientific", "games"):
        for protocol in ("masked", "unmasked"):
            assert {f"{case}/towers/{protocol}/{seed}" for seed in (0, 1, 2)} <= names
            assert f"{case}/sasrec/{protocol}/0" in names
        assert f"{case}/baselines/masked/0" in names
    assert {"scientific/paper/unmasked/0", "games/towers_full_softmax/masked/0", "scientific/speed/unmasked/0"} <= names
    assert {f"online_retail/towers/{protocol}/0" for protocol in ("masked", "unmasked")} <= names
    for case in COLD:
        assert {f"{case}/baselines/masked/0", *(f"{case}/towers/masked/{seed}" for seed in (0, 1, 2))} <= names


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_either_arithmetic_has_a_row_whatever_the_machine_takes_by_itself(precision: str) -> None:
    job = the_job(f"scientific/towers_{precision}/masked/0", plan())
    assert job.settings.training.precision == precision
    assert sum(each.settings.training.precision == precision for each in plan()) == 1


def test_a_key_changes_with_the_settings_the_seed_and_the_data() -> None:
    jobs, others = plan(), plan(overrides={"training__epochs": 1})
    towers = the_job("scientific/towers/masked/0", jobs)
    keys = {
        towers.compute_key("a"),
        towers.compute_key("b"),
        the_job("scientific/towers/masked/1", jobs).compute_key("a"),
        the_job("scientific/towers/unmasked/0", jobs).compute_key("a"),
        the_job("scientific_held_out/towers/masked/0", jobs).compute_key("a"),
        the_job("scientific/towers/masked/0", others).compute_key("a"),
    }
    assert len(keys) == 6


def test_a_key_is_the_same_for_the_same_and_whatever_only_sets_the_pace() -> None:
    towers = the_job("scientific/towers/masked/0", plan())
    again = the_job("scientific/towers/masked/0", plan(overrides={"content__threads": 1, "training__reuse": False}))
    assert towers.compute_key("a") == again.compute_key("a") == Job.from_dict(towers.to_dict()).compute_key("a")


def test_the_baselines_do_not_hang_on_the_settings_of_the_towers() -> None:
    baselines = the_job("games/baselines/masked/0", plan())
    assert baselines.compute_key("a") == the_job(baselines.name, plan(overrides={"towers__dimension": 48})).compute_key(
        "a"
    )


def test_a_pattern_chooses_jobs_by_any_part_of_their_name() -> None:
    jobs = plan()
    assert {job.case for job in select_jobs(jobs, ["held_out"])} == {"scientific_held_out"}
    assert [job.name for job in select_jobs(jobs, ["games/*/unmasked/2"])] == ["games/towers/unmasked/2"]
    assert select_jobs(jobs, []) == list(jobs)


def test_the_digest_follows_the_files(tmp_path: Path) -> None:
    jobs = [the_job("scientific/towers/masked/0", plan()), the_job("scientific_held_out/towers/masked/0", plan())]
    folder = write_made_up_set(tmp_path / "scientific")
    before = compute_digests(jobs, data=tmp_path)
    assert before["scientific"] == before["scientific_held_out"]
    with (folder / "interactions.tsv.gz").open("ab") as file:
        file.write(b"more")
    assert compute_digests(jobs, data=tmp_path)["scientific"] != before["scientific"]


def test_absent_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="scientific"):
        compute_digests(plan()[:1], data=tmp_path)
    assert main(["--data", str(tmp_path), "--workspace", str(tmp_path / "work")]) == 2
    said = capsys.readouterr().err
    assert "--data" in said
    assert "Traceback" not in said
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("word", ["training.epochs", "training.epoch=1", "training.epochs=0"])
def test_a_wrong_setting_is_refused(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--set", word]) == 2
    assert SettingsError.headline in capsys.readouterr().err
