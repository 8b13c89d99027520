"""What is too large for memory is worked on in pieces, and the pieces show in no byte of the result."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from learn.config.data import SplitSettings
from learn.data import histories as histories_module
from learn.data import splits as user_order
from learn.data.histories import Histories, iterate_user_blocks
from learn.data.out_of_core import iterate_buckets
from learn.data.splits import _choose_cuts, build_histories
from learn.data.timestamps import TimestampScale
from learn.data.validation import derived_columns
from learn.errors import DataError, SplitError
from tests.data.plain_histories import plain_histories

DAY = 86_400.0

logs = st.lists(
    st.tuples(
        st.sampled_from([f"u{n}" for n in range(12)]),
        st.sampled_from([f"i{n}" for n in range(6)] + ["unknown"]),
        st.integers(0, 20).map(lambda day: 1.7e9 + day * DAY),
    ),
    min_size=10,
    max_size=80,
)
numbers = arrays(np.float64, st.integers(1, 200), elements=st.floats(allow_nan=False))
entries = st.none() | st.floats(-1e300, 1e300) | st.sampled_from([np.nan, np.inf, -np.inf, 2, 3])


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histories_module, "PIECE_ROWS", 7)
        patch.setattr(user_order, "BUCKET_ROWS", 9)
        patch.setattr(derived_columns, "BATCH_ROWS", 5)
        yield


def written(folder: Path, rows: list[tuple[str, str, float]]) -> Path:
    folder.mkdir()
    ids = [f"i{n}" for n in range(6)]
    pl.DataFrame({"row": range(6), "item_id": ids, "title": ids}).write_parquet(folder / "items.parquet")
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row").with_row_index("row")
    # Another order of the file's rows than of their numbers, and several row groups.
    log.cast({"row": pl.Int64}).reverse().write_parquet(folder / "interactions.parquet", row_group_size=11)
    return folder


@given(rows=logs, method=st.sampled_from(["by_date", "leave_one_out"]))
@settings(max_examples=40, deadline=None)
def test_histories_are_those_of_a_plain_sort_in_memory(
    rows: list[tuple[str, str, float]], method: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("split")
    tables = written(folder / "tables", rows)
    try:
        made = build_histories(tables, folder / "made", settings=SplitSettings.model_validate({"method": method}))
    except SplitError:
        assume(False)
    plain = plain_histories(tables, folder / "plain", method=method)
    assert {file.name for file in made.folder.iterdir()} == {file.name for file in plain.iterdir()}
    for file in plain.iterdir():
        assert (made.folder / file.name).read_bytes() == file.read_bytes(), file.name
    opened = Histories.open(made.folder)
    training = opened.items[opened.mark_training()]
    assert opened.count_popularity().tolist() == np.bincount(training, minlength=6).tolist()


@given(counts=st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_blocks_of_users_hold_a_piece_or_one_user(counts: list[int]) -> None:
    offsets = np.concatenate([[0], np.cumsum(counts)])
    blocks = list(iterate_user_blocks(offsets))
    assert [user for block in blocks for user in range(block.start, block.stop)] == list(range(len(counts)))
    assert all(sum(counts[block]) <= 7 or block.stop - block.start == 1 for block in blocks)


@given(values=numbers, shares=st.tuples(st.floats(0.01, 0.4), st.floats(0.01, 0.4)))
@settings(deadline=None)
def test_cuts_are_timestamps_of_their_rank_on_a_memory_map(
    values: NDArray[np.float64], shares: tuple[float, float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("cuts") / "timestamps.npy"
    np.save(file, values)
    chosen = SplitSettings(validation_share=shares[0], test_share=shares[1])
    ordered, last = np.sort(values), len(values) - 1
    ranks = (math.ceil(last * (1 - shares[0] - shares[1])), math.ceil(last * (1 - shares[1])))
    try:
        cuts = _choose_cuts(np.load(file, mmap_mode="r"), TimestampScale("order", 1), chosen)
    except SplitError:
        assert not ordered[ranks[0]] < ordered[ranks[1]]
    else:
        assert cuts == (ordered[ranks[0]], ordered[ranks[1]])
    assert np.array_equal(np.load(file), values)


def test_a_log_that_cannot_be_read_leaves_no_buckets_unexplained(tmp_path: Path) -> None:
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    rows = pl.scan_parquet(tmp_path / "cut.parquet", schema={"bucket": pl.Int64})
    with pytest.raises(DataError, match="cannot be shared out"):
        list(iterate_buckets(rows, tmp_path / "buckets", where=tmp_path / "cut.parquet"))
