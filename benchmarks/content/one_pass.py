"""One extraction in its own process: ``python -m benchmarks.content.one_pass ITEMS STORE OUT --encoder NAME``.

Prints a line ``encoded N`` after each batch where ``--count`` is given, and last a line of JSON, :class:`Pass`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from learn.config import ContentSettings
from learn.content import ExtractionPlan, ShardResult, collect_vectors, encode_shard, plan_extraction

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Pass:
    """What one extraction did.

    Attributes:
        encoded: Texts encoded.
        torch_loaded: Whether torch was imported.
        plan_seconds: Rendering, keys and the look into the store.
        import_seconds: Importing torch and transformers; 0 if nothing was encoded.
        encode_seconds: Loading the model, encoding, writing parts.
        collect_seconds: Writing all vectors in item order.
        peak_bytes: Largest memory of the process.
    """

    encoded: int
    torch_loaded: bool
    plan_seconds: float
    import_seconds: float
    encode_seconds: float
    collect_seconds: float
    peak_bytes: int

    @property
    def seconds(self) -> float:
        """The pass without the import of libraries."""
        return self.plan_seconds + self.encode_seconds + self.collect_seconds


def build_command(
    items: Path, store: Path, out: Path, *, encoder: str, part_items: int = 0, count: bool = False
) -> list[str]:
    """The command line of a pass; ``part_items`` 0: the settings' own."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.content.one_pass",
        str(items),
        str(store),
        str(out),
        "--encoder",
        encoder,
    ]
    return [*words, "--part-items", str(part_items), *(["--count"] if count else [])]


def run_pass(words: list[str]) -> tuple[Pass, float]:
    """Run a pass; what it did, and the seconds of the whole process."""
    begun = time.perf_counter()
    done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return parse_pass(done.stdout), time.perf_counter() - begun


def parse_pass(output: str) -> Pass:
    """What a pass printed."""
    return Pass(**json.loads(output.splitlines()[-1]))


def main() -> None:
    """Run the pass."""
    options = _parse_options()
    settings = ContentSettings(encoder=options.encoder)
    if options.part_items:
        settings = settings.model_copy(update={"part_items": options.part_items})
    marks = [time.perf_counter()]
    plan = plan_extraction(options.items, store=options.store, settings=settings, folder=options.out / "plan")
    marks.append(time.perf_counter())
    if plan.missing:
        from learn.content import FrozenEncoder  # noqa: F401 - timed apart from the work
    marks.append(time.perf_counter())
    results = _encode_shards(plan, count=options.count)
    marks.append(time.perf_counter())
    collect_vectors(plan, results, destination=options.out)
    marks.append(time.perf_counter())
    plan_seconds, import_seconds, encode_seconds, collect_seconds = (
        later - earlier for earlier, later in itertools.pairwise(marks)
    )
    found = Pass(
        encoded=sum(result.encoded for result in results),
        torch_loaded="torch" in sys.modules,
        plan_seconds=plan_seconds,
        import_seconds=import_seconds,
        encode_seconds=encode_seconds,
        collect_seconds=collect_seconds,
        peak_bytes=read_peak_bytes(),
    )
    print(json.dumps(asdict(found)))


def read_peak_bytes() -> int:
    """Largest resident memory of this process so far; shared libraries and mapped files count."""
    status = Path("/proc/self/status")
    if status.exists():
        # The kernel's other record, ru_maxrss, begins with what the parent held.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _encode_shards(plan: ExtractionPlan, *, count: bool) -> list[ShardResult]:
    if not count:
        return [encode_shard(plan, shard) for shard in plan.shards]
    from learn.content import EncodingProgress

    class Counting(EncodingProgress):
        def advance(self, *counts: int) -> None:
            super().advance(*counts)
            os.write(1, f"encoded {self.texts}\n".encode())

    return [encode_shard(plan, shard, progress=Counting(shard.texts)) for shard in plan.shards]


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("items", "store", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--part-items", type=int, default=0)
    parser.add_argument("--count", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
