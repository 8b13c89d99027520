"""Reading a traffic log: damage first, then that nothing is lost and nothing counted twice."""

from __future__ import annotations

import bz2
import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.errors import DataError
from learn.traffic import reader as traffic_log
from learn.traffic.reader import is_traffic_log, read_traffic
from learn.traffic.records import RECORDS, AnswerRecord, FeedbackRecord
from tests.monitoring.synthetic_traffic import NOW, write_log


def answer(number: int, **fields: object) -> AnswerRecord:
    plain = AnswerRecord(
        time=NOW + timedelta(hours=number),
        recommendation_id=f"r{number}",
        user="u1",
        model_version="v1",
        history=("a", "b"),
        history_length=2,
        items=("c", "d"),
        scores=(0.5, 0.25),
        k=2,
        latency_milliseconds=1.5,
    )
    return plain.model_copy(update=fields)


def click(number: int) -> FeedbackRecord:
    return FeedbackRecord(
        time=NOW + timedelta(hours=number), recommendation_id=f"r{number}", item_id="c", event="clicked"
    )


DAMAGE = {
    "cut off": b'{"kind":"answer","time":"2026-03-01T00:0',
    "zeros": b"\x00\x00\x00",
    "no object": b"[1]",
    "not utf-8": b'{"kind":"\xff\xfe"}',
    "no kind": b'{"time":"2026-03-01T00:00:00Z","recommendation_id":"r"}',
    "no time": answer(0).model_dump_json().replace(NOW.strftime("%Y-%m-%d"), "2026-13-45").encode(),
    "one score too few": answer(0, scores=(0.5,)).model_dump_json().encode(),
    "words for a number": answer(0).model_dump_json().replace('"k":2', '"k":"two"').encode(),
    "unknown event": click(0).model_dump_json().replace("clicked", "eaten").encode(),
}


@pytest.mark.parametrize("line", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_line_is_counted_named_and_costs_no_other(log: Path, tmp_path: Path, line: bytes) -> None:
    write_log(log, answer(1), answer(2))
    with (log / "traffic-000001.jsonl").open("ab") as file:
        file.write(line + b"\n" + answer(3).model_dump_json().encode() + b"\n")
    read = read_traffic(log, tmp_path / "read")
    assert (read.lines, read.damaged, read.answer_rows) == (4, 1, 3)
    assert (read.named[0].file, read.named[0].line) == ("traffic-000001.jsonl", 3)
    assert "1 of them damaged" in read.sentence


def test_a_log_of_nothing_but_damage_is_read_to_its_end(log: Path, tmp_path: Path) -> None:
    log.mkdir()
    (log / "traffic-1.jsonl").write_bytes(b"broken\n" * 500)
    read = read_traffic(log, tmp_path / "read")
    assert (read.lines, read.damaged, read.answer_rows, len(read.named)) == (500, 500, 0, 20)


def test_the_half_line_of_a_growing_file_is_left_for_the_next_reading(log: Path, tmp_path: Path) -> None:
    write_log(log, answer(1))
    whole = answer(2).model_dump_json().encode()
    with (log / "traffic-000001.jsonl").open("ab") as file:
        file.write(whole[:40])
    first = read_traffic(log, tmp_path / "read")
    assert (first.answer_rows, first.damaged, first.unfinished) == (1, 0, 1)
    with (log / "traffic-000001.jsonl").open("ab") as file:
        file.write(whole[40:] + b"\n")
    second = read_traffic(log, tmp_path / "read")
    assert (second.answer_rows, second.damaged, second.unfinished) == (2, 0, 0)


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    assert not is_traffic_log(tmp_path)
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="no files `traffic-"):
            read_traffic(folder, tmp_path / "read")


def test_only_the_window_is_read(log: Path, tmp_path: Path) -> None:
    write_log(log, *(answer(hour) for hour in range(10)), *(click(hour) for hour in range(10)))
    read = read_traffic(log, tmp_path, since=NOW + timedelta(hours=3), until=NOW + timedelta(hours=6))
    assert (read.answer_rows, read.feedback_rows, read.lines) == (3, 3, 20)
    assert (read.first, read.last) == (NOW + timedelta(hours=3), NOW + timedelta(hours=5))


def test_rotated_files_are_one_log_and_other_files_none_of_it(log: Path, tmp_path: Path) -> None:
    write_log(log, answer(1), name="traffic-20260301.jsonl")
    write_log(log, answer(2), click(2), name="traffic-20260302.jsonl")
    (log / "traffic-notes.txt").write_text("broken")
    read = read_traffic(log, tmp_path / "read")
    assert (read.files, read.answer_rows, read.feedback_rows, read.damaged) == (2, 2, 1, 0)


ids = st.text(st.characters(codec="utf-8"), max_size=8)


@given(
    st.lists(
        st.builds(
            answer,
            st.integers(0, 500),
            user=st.none() | ids,
            history=st.lists(ids, max_size=3).map(tuple),
            arm=st.sampled_from(["champion", "challenger", "shadow"]),
            filtered=st.booleans(),
            unknown_items=st.integers(0, 3),
        ),
        max_size=12,
        unique_by=lambda record: (record.recommendation_id, record.arm),
    ),
    st.integers(60, 400),
)
@settings(max_examples=8, deadline=None)
def test_every_record_comes_back_as_it_was_logged(
    tmp_path_factory: pytest.TempPathFactory, records: list[AnswerRecord], block_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    write_log(folder, *records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traffic_log, "_BLOCK_BYTES", block_bytes)
        read = read_traffic(folder, folder / "read")
    rows = pl.read_parquet(read.answers).to_dicts()
    found = [RECORDS.validate_python({"kind": "answer", **row, "time": row["time"].astimezone(UTC)}) for row in rows]
    assert found == records
    assert read.damaged == 0


def test_times_with_and_without_fractions_and_offsets_are_moments(log: Path, tmp_path: Path) -> None:
    text = answer(0).model_dump_json()
    stamp = text.split('"time":"')[1].split('"')[0]
    log.mkdir()
    forms = ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.123456Z", "2026-03-01T14:00:00+02:00")
    lines = (text.replace(stamp, form).replace('"r0"', f'"r{number}"') for number, form in enumerate(forms))
    (log / "traffic-1.jsonl").write_text("".join(f"{line}\n" for line in lines))
    times = pl.read_parquet(read_traffic(log, tmp_path / "read").answers)["time"].to_list()
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert times == [noon, noon.replace(microsecond=123_456), noon]


def pack(file: Path, ending: str) -> None:
    """Put a packed file in the place of a plain one, as logrotate does."""
    data = file.read_bytes()
    kind = ending.rpartition(".")[2]
    if kind == "zst":
        packed = bytes(pa.Codec("zstd").compress(data, asbytes=True))
    else:
        packed = gzip.compress(data) if kind == "gz" else bz2.compress(data)
    file.with_name(f"{file.name}{ending}").write_bytes(packed)
    file.unlink()


@pytest.mark.parametrize("ending", [".gz", ".1.gz", "-20260301.gz", ".bz2", ".zst"])
def test_packed_files_are_read_next_to_plain_ones(log: Path, tmp_path: Path, ending: str) -> None:
    write_log(log, *map(answer, range(5)), click(1))
    (log / "traffic-000001.jsonl").rename(log / "traffic-000000.jsonl")
    write_log(log, *map(answer, range(5, 8)))
    pack(log / "traffic-000000.jsonl", ending)
    read = read_traffic(log, tmp_path / "read")
    assert (read.files, read.lines, read.answer_rows, read.feedback_rows, read.repeated) == (2, 9, 8, 1, 0)
    (log / "traffic-000001.jsonl").unlink()
    assert is_traffic_log(log)


def test_a_renamed_file_and_its_successor_are_both_read(log: Path, tmp_path: Path) -> None:
    write_log(log, answer(1))
    (log / "traffic-000001.jsonl").rename(log / "traffic-000001.jsonl.1")
    write_log(log, answer(2))
    assert read_traffic(log, tmp_path / "read").answer_rows == 2


def test_a_log_that_was_copied_counts_once_and_is_said(log: Path, tmp_path: Path) -> None:
    shadow = answer(1, arm="shadow")
    write_log(log, answer(1), shadow, answer(2), click(1), click(2))
    plain = read_traffic(log, tmp_path / "read")
    (log / "traffic-2.jsonl").write_bytes((log / "traffic-000001.jsonl").read_bytes())
    (log / "traffic-3.jsonl.gz").write_bytes(gzip.compress((log / "traffic-000001.jsonl").read_bytes()))
    # Some records between others.
    with (log / "traffic-4.jsonl").open("w") as file:
        file.writelines(f"{record.model_dump_json()}\n" for record in (answer(3), answer(2), click(2), click(3)))
    read = read_traffic(log, tmp_path / "again")
    assert (plain.answer_rows, plain.feedback_rows, plain.repeated) == (3, 2, 0)
    assert (read.answer_rows, read.feedback_rows, read.repeated) == (4, 3, 12)
    assert "12 records were there more than once and count once." in read.sentence
    assert pl.read_parquet(read.answers).head(3).equals(pl.read_parquet(plain.answers))


def test_a_packed_file_without_its_end_is_unfinished_and_a_wrong_one_is_damaged(log: Path, tmp_path: Path) -> None:
    write_log(log, answer(1))
    whole = gzip.compress(b"".join(answer(n).model_dump_json().encode() + b"\n" for n in range(2, 400)))
    (log / "traffic-2.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (log / "traffic-3.jsonl.gz").write_bytes(b"not packed at all\n")
    read = read_traffic(log, tmp_path / "read")
    assert (read.files, read.unfinished, read.damaged) == (3, 1, 1)
    assert read.named[0].file == "traffic-3.jsonl.gz"
    assert read.answer_rows >= 1
