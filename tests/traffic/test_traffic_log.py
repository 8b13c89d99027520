"""The traffic log: nothing is lost at a normal stop, and nothing that happens to the disk reaches a request."""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.config.serving import TrafficSettings
from learn.errors import StorageError
from learn.traffic.records import FILE_PATTERN, RECORDS, AnswerRecord, FeedbackRecord
from learn.traffic.writer import TrafficLog
from tests.small_disk import small_disk

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def answer(name: str = "r1", *, user: str | None = "anna") -> AnswerRecord:
    return AnswerRecord(
        time=NOW,
        recommendation_id=name,
        user=user,
        model_version="0123456789abcdef",
        history=("a", "b"),
        history_length=3,
        unknown_items=1,
        items=("c", "d"),
        scores=(0.5, 0.25),
        k=2,
        latency_milliseconds=1.5,
    )


@contextmanager
def logging_to(folder: Path, *, user_key: str = "", **changes: float) -> Iterator[TrafficLog]:
    log = TrafficLog(folder, TrafficSettings.model_validate({"flush_seconds": 0.01} | changes), user_key=user_key)
    try:
        yield log
    finally:
        log.close()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob(FILE_PATTERN))


def read(folder: Path) -> list[AnswerRecord | FeedbackRecord]:
    return [RECORDS.validate_json(line) for file in files(folder) for line in file.read_bytes().splitlines()]


def await_that(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    return true()


def test_what_was_logged_is_read_back_in_order(tmp_path: Path) -> None:
    feedback = FeedbackRecord(time=NOW, recommendation_id="r1", item_id="c", event="clicked")
    with logging_to(tmp_path / "deep" / "traffic") as log:
        log.write_answer(answer("r1"))
        log.write_feedback(feedback)
        log.write_answer(answer("r2", user=None))
    assert read(tmp_path / "deep" / "traffic") == [answer("r1"), feedback, answer("r2", user=None)]
    assert (log.written, log.dropped, log.waiting) == (3, 0, 0)
    (name,) = [file.name for file in files(tmp_path / "deep" / "traffic")]
    assert name.split("-")[2:] == [str(os.getpid()), "1.jsonl"]


def test_records_reach_the_file_while_the_service_runs(tmp_path: Path) -> None:
    with logging_to(tmp_path) as log:
        log.write_answer(answer())
        assert await_that(lambda: log.written == 1)
        assert read(tmp_path) == [answer()]


def test_nothing_is_dropped_at_a_normal_stop_whatever_waits(tmp_path: Path) -> None:
    with logging_to(tmp_path, flush_seconds=3_600) as log:

        def write(part: int) -> None:
            for n in range(500):
                log.write_answer(answer(f"{part}-{n}"))

        threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log.waiting == 2_000
    names = [record.recommendation_id for record in read(tmp_path)]
    assert sorted(names) == sorted(f"{part}-{n}" for part in range(4) for n in range(500))
    assert [name for name in names if name.startswith("2-")] == [f"2-{n}" for n in range(500)]


def test_a_full_queue_drops_counts_and_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with logging_to(tmp_path, flush_seconds=3_600, queue_records=10) as log:
        for n in range(25):
            log.write_answer(answer(str(n)))
    assert [record.recommendation_id for record in read(tmp_path)] == [str(n) for n in range(10)]
    assert log.dropped == 15
    assert caplog.text.count("15 records of the traffic log were dropped") == 1


def test_what_comes_after_the_end_is_counted(tmp_path: Path) -> None:
    with logging_to(tmp_path) as log:
        pass
    log.write_answer(answer())
    assert (log.written, log.dropped) == (0, 1)
    assert not files(tmp_path)


def test_a_file_is_finished_by_size_and_lines_are_whole(tmp_path: Path) -> None:
    with logging_to(tmp_path, rotate_bytes=4_096) as log:
        for n in range(300):
            log.write_answer(answer(str(n)))
            if n % 10 == 0:
                assert await_that(lambda: not log.waiting)
    found = files(tmp_path)
    assert len(found) > 5
    assert all(file.stat().st_size < 4_096 + 32 * 400 for file in found)
    assert {record.recommendation_id for record in read(tmp_path)} == {str(n) for n in range(300)}


def test_a_file_is_finished_by_age(tmp_path: Path) -> None:
    with logging_to(tmp_path, rotate_seconds=0.05) as log:
        log.write_answer(answer("1"))
        assert await_that(lambda: log.written == 1)
        time.sleep(0.2)
        log.write_answer(answer("2"))
    assert [file.read_bytes().count(b"\n") for file in files(tmp_path)] == [1, 1]


def test_the_oldest_files_are_deleted_by_size_and_by_age_and_others_never(tmp_path: Path) -> None:
    for day in range(1, 6):
        (tmp_path / f"traffic-2031010{day}T000000Z-7-1.jsonl").write_bytes(b"x" * 1_000)
    ancient = tmp_path / "traffic-20310105T000000Z-7-1.jsonl"
    os.utime(ancient, (0, 0))
    (tmp_path / "notes.txt").write_bytes(b"x" * 10_000)
    with logging_to(tmp_path, keep_bytes=2_500, keep_days=30) as log:
        log.write_answer(answer())
    assert [file.name[8:16] for file in files(tmp_path) if file.name.endswith("-7-1.jsonl")] == ["20310103", "20310104"]
    assert (tmp_path / "notes.txt").exists()
    assert log.written == 1


def test_user_ids_are_hashed_with_the_key_and_stay_the_same(tmp_path: Path) -> None:
    with logging_to(tmp_path, user_key="secret") as log:
        log.write_answer(answer("1"))
        log.write_feedback(FeedbackRecord(time=NOW, recommendation_id="1", user="anna", item_id="c", event="bought"))
        log.write_answer(answer("2", user=None))
    expected = hmac.new(b"secret", b"anna", hashlib.sha256).hexdigest()
    assert [record.user for record in read(tmp_path)] == [expected, expected, None]
    assert b"anna" not in b"".join(file.read_bytes() for file in files(tmp_path))


def test_a_full_disk_is_counted_and_nothing_is_lost_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = threading.Event()
    full.set()
    write = os.write

    def half(file: int, data: bytes) -> int:
        if full.is_set():
            if len(data) > 100:
                return write(file, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", half)
    with logging_to(tmp_path) as log:
        for n in range(100):
            log.write_answer(answer(str(n)))
        assert await_that(lambda: log.write_faults > 3)
        assert log.waiting == 100
        full.clear()
        assert await_that(lambda: log.written == 100)
    assert [record.recommendation_id for record in read(tmp_path)] == [str(n) for n in range(100)]
    assert caplog.text.count("No space left on device") == 1


def test_records_that_were_refused_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, all_logged = threading.Event(), threading.Event()
    write, refusals = os.write, iter(range(2))

    def refuse_twice(file: int, data: bytes) -> int:
        if next(refusals, None) is not None:
            begun.set()
            all_logged.wait(60)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr("learn.traffic.writer.os.write", refuse_twice)
    with logging_to(tmp_path) as log:
        # The first write holds one record, the second as many as go together.
        log.write_answer(answer("0"))
        assert begun.wait(60)
        for n in range(1, 100):
            log.write_answer(answer(str(n)))
        all_logged.set()
        assert await_that(lambda: log.written == 100)
    assert [record.recommendation_id for record in read(tmp_path)] == [str(n) for n in range(100)]


@pytest.mark.slow
def test_a_disk_that_is_really_full_ends_with_a_count_and_whole_lines(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes=256) as disk, logging_to(disk / "traffic") as log:
        for n in range(5_000):
            log.write_answer(answer(str(n)))
        log.close()
        assert log.write_faults
        assert log.written + log.dropped == 5_000
        kept = read(disk / "traffic")
        assert [record.recommendation_id for record in kept] == [str(n) for n in range(log.written)]


def test_a_folder_that_cannot_be_made_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Not a directory"):
        TrafficLog(tmp_path / "file" / "traffic")


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec="utf-8")), max_size=5))
def test_any_text_stays_on_its_line(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("texts")
    with logging_to(folder) as log:
        for text in texts:
            log.write_answer(answer(text, user=text))
    lines = b"".join(file.read_bytes() for file in files(folder)).split(b"\n")[:-1]
    assert [RECORDS.validate_json(line) for line in lines] == [answer(text, user=text) for text in texts]


def test_a_text_that_is_no_unicode_costs_its_own_record_alone(tmp_path: Path) -> None:
    broken = answer("ok").model_copy(update={"recommendation_id": "\ud800"})
    with logging_to(tmp_path) as log:
        log.write_answer(broken)
        log.write_answer(answer("next"))
    assert [record.recommendation_id for record in read(tmp_path)] == ["next"]
    assert (log.written, log.dropped) == (1, 1)
