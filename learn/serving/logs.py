"""How a service writes its log: lines for people or JSON for machines, and nothing of what people sent."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

import bentoml
from pydantic import ValidationError


class JsonLines(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``logger``, ``message``, and ``traceback`` of a fault."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def is_about_a_fault(record: logging.LogRecord) -> bool:
    """Return False for a request that was not right: its sender is told, and the log would hold what was sent."""
    fault = record.exc_info[1] if record.exc_info else None
    if isinstance(fault, bentoml.exceptions.BentoMLException):
        return fault.error_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return not isinstance(fault, ValidationError)


def set_up(log_format: Literal["text", "json"]) -> None:
    """Change the handlers that BentoML has given its own and all other loggers."""
    named = [logging.getLogger(name) for name in ("bentoml", "uvicorn.error")]
    for handler in {handler for logger in (*named, logging.root) for handler in logger.handlers}:
        handler.addFilter(is_about_a_fault)
        if log_format == "json":
            handler.setFormatter(JsonLines())
