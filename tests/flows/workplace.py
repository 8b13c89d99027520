"""The flow through its real command line, in a folder of its own that a test can look through afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FLOW = Path(__file__).resolve().parents[2] / "flows" / "train_flow.py"


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything the person saw."""
        return self.out + self.err


@dataclass(frozen=True)
class Workplace:
    """A working directory with stores of its own: no run in it touches what another run left."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What keeps every store inside the folder."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW_", "DVC_", "GIT_"))},
            "OMP_NUM_THREADS": "1",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.folder),
            "METAFLOW_HOME": str(self.folder / "metaflow_home"),
            "BENTOML_HOME": str(self.folder / "bentoml"),
            "DVC_SITE_CACHE_DIR": str(self.folder / "dvc_site"),
        }

    def command(self, *words: str, config: Path | None = None) -> list[str]:
        """Return the words that start the flow; the settings file goes before the subcommand."""
        before = [] if config is None else ["--config", "settings", str(config)]
        return [sys.executable, str(FLOW), "--no-pylint", *before, *words]

    def flow(self, *words: str, settings: str = "", seconds: float = 1_800) -> Finished:
        """Run the flow to its end.

        Args:
            words: Subcommand and options.
            settings: Text of the settings file; none is given where it is empty.
            seconds: Longest time it may take. A run of the sample takes one minute, six under load.
        """
        config = self.write("settings.toml", settings) if settings else None
        done = subprocess.run(
            self.command(*words, config=config),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def write(self, name: str, text: str) -> Path:
        """Write a file in the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def left(self, *beneath: str) -> set[str]:
        """Files below one of the folders, by their names from there."""
        top = self.folder.joinpath(*beneath)
        return {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
