"""Reading a traffic log: damage first, then that nothing is lost and nothing counted twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
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
    (log / "traffic-1.jsonl").write_text("".join(text.replace(stamp, form) + "\n" for form in forms))
    times = pl.read_parquet(read_traffic(log, tmp_path / "read").answers)["time"].to_list()
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert times == [noon, noon.replace(microsecond=123_456), noon]
