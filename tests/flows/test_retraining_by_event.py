"""A monitor on Argo asks a deployed train flow for a training: the event goes to a server on the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.flows.synthetic_tables import write_tables

ROOT = Path(__file__).resolve().parents[2]
_ASK = """
from pathlib import Path
from learn.environment import configure_process
configure_process()
from flows.retraining import retrain_on_verdict
done = retrain_on_verdict(
    "retrain", rule="on-verdict", data=Path("shop"), promote="if-better", values={}, scratch=Path("scratch"),
    event="retrain-shop",
)
print(done.action, done.said)
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def events() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    taken: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    server.server_close()


def asked(folder: Path, address: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "DVC_", "GIT_"))}
    own = {
        "PYTHONPATH": str(ROOT),
        "BENTOML_HOME": str(folder / "bentoml"),
        "DVC_SITE_CACHE_DIR": str(folder / "site"),
        "METAFLOW_ARGO_EVENTS_WEBHOOK_URL": address,
        "METAFLOW_SERVICE_RETRY_COUNT": "1",
        "ARGO_WORKFLOW_TEMPLATE": "monitor",
    }
    return subprocess.run(
        [sys.executable, "-c", _ASK], cwd=folder, env=kept | own | more, capture_output=True, text=True, check=False
    )


def test_the_event_names_data_and_promotion_and_is_not_sent_twice(
    tmp_path: Path, events: tuple[str, list[dict[str, Any]]]
) -> None:
    address, taken = events
    write_tables(tmp_path / "shop")
    first = asked(tmp_path, address)
    assert first.stdout.startswith("asked The event `retrain-shop` asks"), first.stderr
    (event,) = taken
    assert event["name"] == "retrain-shop"
    assert (event["payload"]["data"], event["payload"]["promote"]) == ("shop", "if-better")
    again = asked(tmp_path, address)
    assert again.stdout.startswith("skipped The last retraining was requested"), again.stderr
    assert len(taken) == 1


def test_an_event_that_nobody_takes_is_an_error_and_not_lost_silently(tmp_path: Path) -> None:
    write_tables(tmp_path / "shop")
    done = asked(tmp_path, "http://127.0.0.1:9")
    assert done.returncode
    assert "TrainingError" in done.stderr
    assert "could not be requested" in done.stderr
