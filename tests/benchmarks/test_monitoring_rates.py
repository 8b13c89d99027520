"""The monitoring benchmark: Evidently is judged fairly, and nothing is judged twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.harness.provenance import ROOT
from benchmarks.monitoring.cells import JUDGING, CellStore, hash_code
from benchmarks.monitoring.judges import has_evidently_drift
from benchmarks.monitoring.page import collect_figures, keep_cells, read_parts, write_page
from benchmarks.monitoring.rates import JUDGES, NOTHING, ROWS, SETS, WIDTHS, Cell
from benchmarks.monitoring.shifts import SHIFTS
from learn.monitoring.evidently import DataDefinition, Dataset, Report
from learn.monitoring.samples import ColumnSample


@pytest.mark.parametrize("rows", [300, 1_200])
def test_evidently_alone_finds_what_its_preset_finds(rows: int) -> None:

    from evidently.presets import DataDriftPreset

    rng = np.random.default_rng(0)
    labels = [rng.choice(["a", "b", "c"], rows, p=shares) for shares in ([0.5, 0.3, 0.2], [0.1, 0.3, 0.6])]
    samples = [
        ColumnSample("alike", "number", rng.normal(size=rows), rng.normal(size=rows)),
        ColumnSample("moved", "number", rng.normal(size=rows), rng.normal(0.5, size=rows)),
        ColumnSample("label", "category", labels[0], labels[1]),
    ]
    definition = DataDefinition(numerical_columns=["alike", "moved"], categorical_columns=["label"])
    frames = [
        pd.DataFrame({sample.name: side for sample, side in zip(samples, sides, strict=True)})
        for sides in ([s.current for s in samples], [s.reference for s in samples])
    ]
    current, reference = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
    tests = Report([DataDriftPreset()], include_tests=True).run(current, reference).tests_results
    by_column = {
        sample.name: any(sample.name in test.name and test.status.value == "FAIL" for test in tests)
        for sample in samples
    }
    assert by_column == {sample.name: has_evidently_drift(sample) for sample in samples}
    assert by_column["moved"]
    assert by_column["label"]


def test_what_was_judged_is_found_again_by_its_inputs_alone(tmp_path: Path) -> None:
    kept = CellStore(tmp_path)
    assert kept.read(rows=500, judge="learn") is None
    kept.write({"alarms": [True]}, rows=500, judge="learn")
    kept.write({"alarms": [True, False]}, rows=500, judge="learn")
    found = kept.read(judge="learn", rows=500)
    assert found is not None
    assert found["alarms"] == [True, False]
    assert kept.read(rows=5_000, judge="learn") is None


def test_all_judging_code_is_there_and_hashed() -> None:
    assert all((ROOT / file).is_file() for file in JUDGING)
    assert hash_code(JUDGING) == hash_code(JUDGING[::-1])
    assert hash_code(JUDGING) != hash_code(JUDGING[1:])


def test_the_page_of_an_unfinished_table_shows_its_cells_and_gives_no_rates(tmp_path: Path) -> None:
    cells = [Cell("learn", "games", 500, 64, NOTHING, 100, 1, 0.2)]
    keep_cells(cells, tmp_path)
    assert read_parts(tmp_path).cells == cells
    page = write_page(tmp_path, folder=tmp_path / "out").read_text(encoding="utf-8")
    assert "1 are measured so far" in page
    assert "1 of 100" in page
    assert collect_figures(read_parts(tmp_path)) == {}


def test_the_page_of_a_whole_table_gives_its_rates(tmp_path: Path) -> None:
    cells = [
        Cell(judge, name, rows, width, planted, 100, 2 if planted == NOTHING else 98, 0.2)
        for judge in JUDGES
        for name in SETS
        for rows in ROWS
        for width in WIDTHS
        for planted in (NOTHING, *SHIFTS)
    ]
    keep_cells(cells, tmp_path)
    found = collect_figures(read_parts(tmp_path))
    assert found["false_alarm_rate"] == pytest.approx(0.02)
    assert found["detection_rate"] == pytest.approx(0.98)
    assert "so far" not in write_page(tmp_path, folder=tmp_path / "out").read_text(encoding="utf-8")
