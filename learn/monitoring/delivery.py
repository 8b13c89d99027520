"""Deliver the verdict: JSON by POST, repeated with growing pauses, and kept on disk until it is accepted.

A receiver may get a message twice if its answer was lost; ``run_id`` identifies it. The address is never written or
printed, because it may contain a secret.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from learn.config import MonitoringSettings
from learn.errors import SettingsError
from learn.storage import atomic_files

VARIABLE = "LEARN_WEBHOOK"
_FIRST_PAUSE_SECONDS = 1.0
_REFUSED = range(400, 500)
_LATER = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Delivery:
    """The result of a delivery.

    Attributes:
        sent: Number of messages that the receiver accepted, including older ones.
        kept: Number of messages that wait on disk for the next run.
        fault: Why they wait; empty if none waits.
    """

    sent: int
    kept: int
    fault: str

    @property
    def sentence(self) -> str:
        """The result, in one line."""
        if self.kept:
            return f"Webhook: {self.sent} sent, {self.kept} kept for the next run. {self.fault}"
        return f"Webhook: {self.sent} sent." if self.sent else "Webhook: nothing to send."


def find_webhook_address(settings: MonitoringSettings) -> str:
    """Return the address from the environment or the settings; empty if there is none.

    Raises:
        SettingsError: It is not a web address.
    """
    address = os.environ.get(VARIABLE) or settings.webhook
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        # Square brackets that contain no IPv6 address.
        usable = False
    if address and not usable:
        raise SettingsError(
            "The webhook is not an http or https address.",
            where=f"{VARIABLE} or monitoring.webhook",
            fix="give the full URL",
        )
    return address


def deliver(
    message: Mapping[str, Any] | None,
    *,
    name: str,
    outbox: Path,
    settings: MonitoringSettings,
    first_pause_seconds: float = _FIRST_PAUSE_SECONDS,
) -> Delivery:
    """Send the messages in the outbox, oldest first, and then this message.

    The message is put into the outbox before the first attempt and removed after the receiver accepted it, so it
    survives a killed run. If the receiver cannot be reached, no other message is tried; a message that it
    refuses does not delay the others.

    Args:
        message: The message to send; None: only send the waiting ones.
        name: File name of the message in the outbox; names sort by age.
        outbox: Folder of waiting messages.
        settings: Address, attempts and time-out.
        first_pause_seconds: Pause before the second attempt; each further pause is twice as long.

    Raises:
        SettingsError: The address is not a web address.
        StorageError: The outbox cannot be written.
    """
    address = find_webhook_address(settings)
    if not address:
        return Delivery(0, 0, "")
    if message is not None:
        with atomic_files(outbox, names=(f"{name}.json",)) as stage:
            (stage / f"{name}.json").write_text(json.dumps(message, allow_nan=False), encoding="utf-8")
    sent, faults = 0, []
    waiting = sorted(outbox.glob("*.json"))
    for file in waiting:
        fault, reached = _attempt(
            address, file.read_bytes(), settings=settings, first_pause_seconds=first_pause_seconds
        )
        if fault:
            faults.append(fault)
        else:
            file.unlink()
            sent += 1
        if not reached:
            break
    return Delivery(sent, len(waiting) - sent, faults[-1] if faults else "")


class _PassingError(Exception):
    """The receiver could not be reached, or asked for a later attempt."""


class _RefusedError(Exception):
    """The receiver refused this message."""


def _attempt(
    address: str, body: bytes, *, settings: MonitoringSettings, first_pause_seconds: float
) -> tuple[str, bool]:
    """Try to send one message; return why it failed, if so, and whether the receiver can be reached."""
    attempts = Retrying(
        stop=stop_after_attempt(settings.webhook_attempts),
        wait=wait_exponential(multiplier=first_pause_seconds),
        retry=retry_if_exception_type(_PassingError),
        reraise=True,
    )
    try:
        attempts(_post, address, body, timeout_seconds=settings.webhook_timeout_seconds)
    except _PassingError as fault:
        return str(fault), False
    except _RefusedError as fault:
        return str(fault), True
    return "", True


def _post(address: str, body: bytes, *, timeout_seconds: float) -> None:
    try:
        # A redirect is not followed: the POST would arrive as a GET without its message. The answer's body is not read:
        # the status is enough to show that the message was accepted, and a body may stall or break off. The
        # certificates are the machine's, since a receiver inside a company is rarely known to httpx's own list.
        with httpx.stream(
            "POST",
            address,
            content=body,
            headers={"Content-Type": "application/json"},
            timeout=timeout_seconds,
            verify=ssl.create_default_context(),
        ) as answer:
            code, accepted = answer.status_code, answer.is_success
    except httpx.InvalidURL as error:
        # This error quotes the address.
        raise _PassingError("The receiver could not be reached: its address is not valid.") from error
    except (httpx.HTTPError, OSError, ValueError, ImportError) as error:
        # The last two: an address that cannot be encoded, and a proxy of the environment that httpx cannot use.
        raise _PassingError(f"The receiver could not be reached: {str(error).rstrip('.')}.") from error
    if not accepted:
        refused = code in _REFUSED and code not in _LATER
        raise (_RefusedError if refused else _PassingError)(f"The receiver answered {code}.")
