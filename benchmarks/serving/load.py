"""Load on a server from its own process: wrk, with a script that draws a body for each request."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from learn.errors import ServingError

# wrk runs this: bodies from a file, and at the end all that it found as one line of JSON.
_SCRIPT = """
local bodies, place = {}, 0
function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
  wrk.method, wrk.headers["Content-Type"] = "POST", "application/json"
end
function request()
  place = place % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[place])
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\nFOUND {"requests": %d, "seconds": %f, "p50": %f, "p95": %f, "p99": %f, "failed": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class LoadResult(BaseModel):
    """What wrk found; milliseconds."""

    model_config = ConfigDict(frozen=True)

    requests: int
    seconds: float
    p50: float
    p95: float
    p99: float
    failed: int


@dataclass(frozen=True)
class Wrk:
    """The tool, ready to be pointed at a server.

    Attributes:
        program: Its path.
        folder: Where its script and the bodies are.
    """

    program: str
    folder: Path

    @classmethod
    def at_hand(cls, folder: Path) -> Wrk:
        """Find the tool.

        Raises:
            ServingError: It is not installed.
        """
        program = shutil.which("wrk")
        if program is None:
            raise ServingError("The load comes from `wrk`, which is not installed.", fix="apt-get install wrk")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bodies.lua").write_text(_SCRIPT, encoding="utf-8")
        return cls(program, folder)

    def start(
        self, address: str, bodies: Sequence[object], *, connections: int, seconds: float
    ) -> subprocess.Popen[str]:
        """Begin to ask, in its own process."""
        (self.folder / "bodies.jsonl").write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
        words = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", "bodies.lua"]
        command = [self.program, *words, address, "--", "bodies.jsonl"]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, address: str, bodies: Sequence[object], *, connections: int, seconds: float) -> LoadResult:
        """Request so long, and say the result of it."""
        return parse_load(self.start(address, bodies, connections=connections, seconds=seconds))


def parse_load(process: subprocess.Popen[str]) -> LoadResult:
    """Await the end of the load.

    Raises:
        ServingError: The tool failed.
    """
    said, _ = process.communicate()
    line = next((line for line in said.splitlines() if line.startswith("FOUND ")), None)
    if process.returncode or line is None:
        raise ServingError(f"wrk failed:\n{said[-1000:]}", fix="see its words above")
    return LoadResult.model_validate_json(line.removeprefix("FOUND "))
