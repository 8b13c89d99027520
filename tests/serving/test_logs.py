from __future__ import annotations

import json
import logging
import sys
from http import HTTPStatus

import bentoml
import pytest

from learn.errors import RequestError
from learn.serving.answers import name_field
from learn.serving.observability import JsonLines, is_about_a_fault


def record_of(fault: BaseException | None = None) -> logging.LogRecord:
    found = None
    if fault is not None:
        try:
            raise fault
        except BaseException:
            found = sys.exc_info()
    return logging.LogRecord("bentoml.learn", logging.ERROR, __file__, 1, "Served %s\n%s", ("a", "é"), found)


def test_a_line_of_json_holds_all_of_a_record() -> None:
    line = JsonLines().format(record_of(ValueError("broken")))
    assert "\n" not in line
    said = json.loads(line)
    assert (said["level"], said["logger"], said["message"]) == ("error", "bentoml.learn", "Served a\né")
    assert said["time"].endswith("+00:00")
    assert "ValueError: broken" in said["traceback"]
    assert "traceback" not in json.loads(JsonLines().format(record_of()))


class ConflictError(bentoml.exceptions.BentoMLException):
    error_code = HTTPStatus.CONFLICT


@pytest.mark.parametrize(
    ("fault", "kept"),
    [
        (None, True),
        (ValueError("a fault of ours"), True),
        (bentoml.exceptions.BentoMLException("a fault of ours"), True),
        (ConflictError("theirs"), False),
        (name_field(RequestError("what they sent", where="k")), False),
    ],
)
def test_what_clients_get_wrong_is_not_logged(fault: BaseException | None, kept: bool) -> None:
    assert is_about_a_fault(record_of(fault)) is kept
