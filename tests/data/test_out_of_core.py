"""What is too large for memory is worked on in pieces, and the pieces show in no byte of the result."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from learn.config.data import SplitSettings
from learn.data import histories as histories_module
from learn.data import splits as user_order
from learn.data.histories import Histories, iterate_user_blocks
from learn.data.splits import build_histories
from learn.errors import SplitError
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
numbers = arrays(np.float64, st.integers(1, 200), elements=st.floats(allow_nan=False, allow_infinity=False))


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histories_module, "PIECE_ROWS", 7)
        patch.setattr(user_order, "BUCKET_ROWS", 9)
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
