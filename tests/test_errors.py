"""Errors: one message of what, where and what to do, the same on the other side of a process border."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn import errors
from learn.errors import LearnError, StorageError, explain_storage_faults

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LearnError)]


@given(
    kind=st.sampled_from(KINDS),
    what=st.text(min_size=1),
    where=st.none() | st.text() | st.just(Path("a")),
    fix=st.text(),
)
def test_an_error_survives_pickling(kind: type[LearnError], what: str, where: str | Path | None, fix: str) -> None:
    error = kind(what, where=where, fix=fix)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in the line itself
    assert type(again) is kind
    assert (again.what, again.where, again.fix, str(again)) == (error.what, error.where, error.fix, str(error))


def test_a_message_has_only_the_parts_that_are_known() -> None:
    assert str(LearnError("It broke.")) == "It broke."
    assert str(LearnError("It broke.", where=Path("a/b"), fix="mend it")) == (
        "It broke.\nWhere: a/b\nWhat to do: mend it"
    )


def test_every_kind_has_a_headline_of_its_own() -> None:
    headlines = [kind.headline for kind in KINDS]
    assert len(set(headlines)) == len(KINDS) == 14


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_fault_of_the_disk_says_what_to_do(number: int) -> None:
    with pytest.raises(StorageError) as caught, explain_storage_faults("the/folder"):
        raise OSError(number, "said the system", "the/file")
    assert caught.value.where == "the/file"
    assert caught.value.fix
    assert isinstance(caught.value.__cause__, OSError)


def test_a_fault_of_the_disk_is_known_through_what_libraries_make_of_it() -> None:
    with pytest.raises(StorageError, match="No space is left"), explain_storage_faults("the/folder"):
        raise ValueError("Error while serializing: No space left on device (os error 28)")
    with pytest.raises(StorageError, match="No space is left"), explain_storage_faults("the/folder"):
        raise OSError("20000 requested and 6112 written")
    with pytest.raises(StorageError, match="Permission is denied"), explain_storage_faults("the/folder"):
        raise RuntimeError("the file is not as long as expected") from PermissionError(errno.EACCES, "said the system")


def test_an_error_of_our_own_keeps_its_words() -> None:
    with pytest.raises(LearnError, match="in its own words") as caught, explain_storage_faults("the/folder"):
        raise LearnError("Said in its own words.") from OSError(errno.ENOSPC, "said the system")
    assert type(caught.value) is LearnError


def test_without_a_file_name_the_folder_is_named() -> None:
    with pytest.raises(StorageError) as caught, explain_storage_faults(Path("the/folder")):
        raise OSError(errno.ENOSPC, "said the system")
    assert caught.value.where == "the/folder"


@pytest.mark.parametrize("fault", [FileNotFoundError(errno.ENOENT, "gone"), OSError("no number"), ValueError("other")])
def test_other_faults_pass_as_they_are(fault: Exception) -> None:
    with pytest.raises(type(fault)) as caught, explain_storage_faults("the/folder"):
        raise fault
    assert caught.value is fault


def test_a_disk_that_is_full_is_found_by_a_real_write() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with (
        pytest.raises(StorageError, match="No space is left"),
        explain_storage_faults(full),
        full.open("wb", buffering=0) as file,
    ):
        file.write(b"a byte too many")
