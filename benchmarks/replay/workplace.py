"""The replay's workspace: separate stores, and the flows and commands that anybody would type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.provenance import ROOT
from learn.errors import TrainingError
from learn.serving import run_service
from learn.storage import write_atomic

SETTINGS = """\
# A shop of a few months on two cores: narrow towers, few epochs, no baselines that take minutes.
[towers]
dimension = 64
cooccurrence_rank = 64

[training]
epochs = 3

[evaluation]
baselines = ["popularity", "content_neighbours"]
bootstrap_samples = 200
list_users = 500

[split]
# People fill a basket here: what comes next in it can be told, the first line of the next bill weeks later cannot.
method = "leave_one_out"

[serving]
parity_users = 20

[monitoring]
# Three days of this shop are some 150 people.
fewest_answers = 100
# Histories reach back for months, so a fifth of a day's items under new numbers is few of the items in them.
retrain_unknown_share = 0.02
# The season moves popularity every day; what a training can mend is told by the unknown items.
retrain_effect = 0.4

[gate]
# What two thousand people can tell from nothing.
margin = 0.2
"""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    said: str


@dataclass(frozen=True)
class Workplace:
    """A working folder with its own stores, so that no run in it touches others.

    Attributes:
        folder: It holds everything.
    """

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What keeps every store inside the folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "DVC_", "GIT_"))}
        return kept | {
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.folder),
            "METAFLOW_HOME": str(self.folder / "metaflow_home"),
            "BENTOML_HOME": str(self.folder / "bentoml"),
            "DVC_SITE_CACHE_DIR": str(self.folder / "dvc_site"),
            "PYTHONPATH": str(ROOT),
        }

    @property
    def data(self) -> Path:
        """The shop's data folder."""
        return self.folder / "shop"

    @property
    def log(self) -> Path:
        """The traffic log on the shop's own clock."""
        return self.folder / "log"

    @property
    def raw_log(self) -> Path:
        """The traffic log as the service writes it."""
        return self.folder / "service_log"

    def begin(self) -> None:
        """Make the folder; what is in it stays."""
        (self.folder / "bentoml").mkdir(parents=True, exist_ok=True)
        self.raw_log.mkdir(exist_ok=True)
        write_atomic(self.folder / "settings.toml", SETTINGS)
        if not (self.folder / ".dvc").is_dir():
            # A repository of its own, even inside of another one's checkout.
            self._run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], name="dvc")

    def train(self, data: Path, name: str, *words: str) -> str:
        """Run the train flow with ``--promote if-better``, and return its run's id.

        Raises:
            TrainingError: It failed.
        """
        file = self.folder / f"{name}.run_id"
        given = ("--data", str(data), "--promote", "if-better", "--run-id-file", str(file), *words)
        ended = self._run_flow("train_flow.py", *given, name=name)
        if ended.code:
            raise TrainingError(f"The training `{name}` failed.", where=self._name_log(name), fix="see its last lines")
        return file.read_text(encoding="utf-8").strip()

    def monitor(self, name: str, *words: str) -> tuple[Ended, dict[str, Any]]:
        """Run the monitor flow; return how it ended and its verdict.

        Raises:
            TrainingError: It failed.
        """
        file = self.folder / f"{name}.run_id"
        ended = self._run_flow("monitor_flow.py", *words, "--run-id-file", str(file), name=name)
        if ended.code == 1:
            raise TrainingError(f"The monitor `{name}` failed.", where=self._name_log(name), fix="see its last lines")
        report = self.folder / "reports" / file.read_text(encoding="utf-8").strip() / "verdict.json"
        verdict: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return ended, verdict

    def read_decision(self, run_id: str) -> dict[str, Any]:
        """Return what the gate said of a run."""
        file = self.folder / "reports" / run_id / "decision.json"
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def run_models(self, *words: str, name: str) -> Ended:
        """Run ``learn models``."""
        return self._run([sys.executable, "-m", "learn.cli", "models", *words], name=name)

    def find_champion(self) -> str:
        """Return the champion's version.

        Raises:
            TrainingError: There is none.
        """
        ended = self.run_models("show", "champion", "--json", name="champion")
        if ended.code:
            raise TrainingError("There is no champion.", where=self._name_log("champion"), fix="see what the gate said")
        return str(json.loads(ended.said[ended.said.index("{") :])["version"])

    def find_bento(self) -> str:
        """Return the tag of the newest bento."""
        return "learn_user_tower:latest"

    @contextmanager
    def run_service(self) -> Iterator[str]:
        """Run the service, which follows the champion, until the block ends; yield its address.

        Raises:
            ServingError: It did not start.
        """
        own = {
            "LEARN_DEPLOYMENT_SERVE": "champion",
            "LEARN_SERVING_STATE": str(self.folder / "service_state"),
            "LEARN_TRAFFIC_FOLDER": str(self.raw_log),
        }
        log = self.folder / "service.log"
        with run_service(self.find_bento(), start_seconds=600, environment=self.environment | own, log=log) as address:
            yield address

    def _run_flow(self, file: str, *words: str, name: str) -> Ended:
        config = ["--config", "settings", str(self.folder / "settings.toml")]
        flow = str(ROOT / "flows" / file)
        return self._run([sys.executable, flow, "--no-pylint", *config, "run", *words], name=name)

    def _run(self, command: list[str], *, name: str) -> Ended:
        with self._name_log(name).open("w", encoding="utf-8") as log:
            done = subprocess.run(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT, check=False
            )
        return Ended(done.returncode, self._name_log(name).read_text(encoding="utf-8"))

    def _name_log(self, name: str) -> Path:
        return self.folder / f"{name}.log"
