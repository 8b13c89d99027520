"""The service's log, for people or as JSON, and its Prometheus metrics. Neither contains what people sent."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

import bentoml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from pydantic import ValidationError

from learn.serving.deployment import Deployment
from learn.serving.recommender import Recommender
from learn.traffic import AnswerRecord, TrafficSink


class JsonLines(logging.Formatter):
    """One JSON object per line: ``time`` (UTC), ``level``, ``logger``, ``message``, and ``traceback`` of an error."""

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
    """Return False for invalid requests: their sender gets the error, and the log would contain what was sent."""
    fault = record.exc_info[1] if record.exc_info else None
    if isinstance(fault, bentoml.exceptions.BentoMLException):
        return fault.error_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return not isinstance(fault, ValidationError)


def set_up(log_format: Literal["text", "json"]) -> None:
    """Change the handlers that BentoML gave to its own and all other loggers."""
    named = [logging.getLogger(name) for name in ("bentoml", "uvicorn.error")]
    for handler in {handler for logger in (*named, logging.root) for handler in logger.handlers}:
        handler.addFilter(is_about_a_fault)
        if log_format == "json":
            handler.setFormatter(JsonLines())


class ServiceMetrics:
    """Counts the lists of one process, and reads the other counts from their owners.

    The counts are plain numbers, formatted on request, because a counter of the library costs each request more.

    Args:
        deployment: The models.
        sink: The traffic log.
    """

    def __init__(self, deployment: Deployment[Recommender], sink: TrafficSink) -> None:
        self._deployment, self._sink = deployment, sink
        self._lists: Counter[str] = Counter()
        self._fallbacks: Counter[str] = Counter()
        self._empty = self._history_items = self._unknown_items = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def count(self, record: AnswerRecord) -> None:
        """Count a list that was shown."""
        self._lists[record.arm] += 1
        if record.fallback is not None:
            self._fallbacks[record.fallback] += 1
        self._empty += not record.items
        self._history_items += record.history_length
        self._unknown_items += record.unknown_items

    def render(self) -> str:
        """Return all counts in Prometheus's format."""
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterator[Metric]:
        """Yield all counts, for the Prometheus library."""
        arms = (self._deployment.champion, self._deployment.challenger)
        served = [each for each in arms if each is not None]
        yield _build_labelled("learn_lists", "Lists in answers, by the model's role.", "arm", self._lists)
        yield _build_labelled("learn_fallback_lists", "Lists of popular items, by reason.", "reason", self._fallbacks)
        yield _build_counter("learn_empty_lists", "Lists without any item.", self._empty)
        yield _build_counter("learn_history_items", "Items in the histories that were read.", self._history_items)
        yield _build_counter(
            "learn_unknown_items", "Items in histories that were not in the catalogue.", self._unknown_items
        )
        models = GaugeMetricFamily("learn_model", "1 for each model that serves.", labels=["arm", "model_version"])
        items = GaugeMetricFamily("learn_items", "Items of its catalogue.", labels=["arm"])
        for each in served:
            models.add_metric([each.arm, each.version], 1)
            items.add_metric([each.arm], len(each.recommender.catalogue))
        yield from (models, items)
        yield _build_counter("learn_model_swaps", "Swaps of the serving models.", self._deployment.swaps)
        yield _build_counter("learn_models_refused", "Models that were refused.", self._deployment.refused)
        shadow = self._deployment.shadow
        done = {"answered": shadow.done, "left_out": shadow.left_out, "failed": shadow.failed}
        yield _build_labelled("learn_shadow_requests", "Requests in the shadow, by outcome.", "outcome", Counter(done))
        yield _build_counter("learn_traffic_written", "Records in the files of the traffic log.", self._sink.written)
        yield _build_counter("learn_traffic_dropped", "Lost records of the traffic log.", self._sink.dropped)
        yield _build_counter(
            "learn_traffic_write_faults", "Writes of the traffic log that the disk refused.", self._sink.write_faults
        )


def _build_counter(name: str, said: str, number: int) -> Metric:
    return CounterMetricFamily(name, said, value=number)


def _build_labelled(name: str, said: str, label: str, numbers: Counter[str]) -> Metric:
    family = CounterMetricFamily(name, said, labels=[label])
    for value, number in sorted(numbers.items()):
        family.add_metric([value], number)
    return family
