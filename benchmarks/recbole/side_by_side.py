"""Both sides after each other on one machine: ``python -m benchmarks.recbole.side_by_side scientific``."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness.provenance import ROOT, describe_machine, find_real_data
from benchmarks.quality.datasets import SOURCES, Prepared, prepare
from benchmarks.recbole.environment import compute_environment_key, make_environment, run_side
from benchmarks.recbole.export import export_split
from benchmarks.recbole.records import Side, SideBySide, compare
from learn.config import ContentSettings, Settings
from learn.content import encode_shard, plan_extraction
from learn.environment import configure_process
from learn.errors import LearnError, SettingsError, explain_storage_faults

Say = Callable[[str], None]

# The quality benchmark's own, so that a data set is prepared once for both.
_WORKSPACE = ROOT / ".learn" / "benchmarks" / "quality"
_SPLIT_ARRAYS = ("offsets", "items", "train_stops")
_EXAMPLE_ARRAYS = ("starts", "stops", "targets")


@dataclass(frozen=True)
class Sasrec:
    """How RecBole's SASRec is trained, beyond its defaults.

    Attributes:
        epochs: At most. RecBole's default is 300, of which its early stopping (10 epochs without a better figure)
            leaves what the data wants; the cap bounds the hours on a CPU. The curve tells where it ended.
        hidden_size: RecBole's default; a wider one takes longer an epoch.
        max_history: RecBole's default, and that of the towers.
        seed: RecBole's default.
    """

    epochs: int = 100
    hidden_size: int = 64
    max_history: int = 50
    seed: int = 2020


def run_side_by_side(
    prepared: Prepared,
    *,
    workspace: Path,
    settings: Settings,
    threads: int,
    sasrec: Sasrec | None = None,
    seed: int = 0,
    again: bool = False,
    encode: bool = False,
    say: Say = print,
) -> SideBySide:
    """Measure RecBole's SASRec and LEARN's towers on the same data, each in its own process on the CPU.

    Args:
        prepared: The data; only read.
        workspace: For RecBole's environment, the exported split, RecBole's result and logs. A result of the same
            data, settings, versions, machine and threads is taken as it is.
        settings: Of the towers.
        threads: Of each side.
        sasrec: Of SASRec; None: the defaults.
        seed: Of the towers.
        again: Measure RecBole again.
        encode: Measure the frozen LLM's pass over the catalogue too, into a store that is thrown away.
        say: Receives a line before each long step.

    Raises:
        BenchmarkError: RecBole's environment cannot be made, or a side failed.
        StorageError: The disk is full or not writable.
    """
    sasrec = sasrec or Sasrec()
    folder = workspace.absolute() / "recbole" / f"{prepared.name}-{_compute_key(prepared, sasrec, threads=threads)}"
    with explain_storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    result = folder / "sasrec.json"
    if again or not result.exists():
        say(f"RecBole's SASRec on {prepared.name}, at most {sasrec.epochs} epochs: see {folder / 'sasrec.log'}")
        python = make_environment(workspace.absolute() / "recbole-env")
        _measure_sasrec(prepared, python, result, sasrec=sasrec, threads=threads)
    say(f"LEARN's towers on {prepared.name}: see {folder / 'towers.log'}")
    ours = _measure_learn(prepared, folder, settings=settings, threads=threads, seed=seed)
    encoding = _time_encoding(prepared, folder / "store", settings.content, threads=threads) if encode else None
    return compare(
        Side.read(result),
        ours,
        data_set=prepared.name,
        threads=threads,
        machine=describe_machine(),
        content_encoding_seconds=encoding,
    )


def _compute_key(prepared: Prepared, sasrec: Sasrec, *, threads: int) -> str:
    digest = hashlib.sha256(compute_environment_key().encode())
    names = [*_SPLIT_ARRAYS, *(f"{part}_{name}" for part in ("validation", "test") for name in _EXAMPLE_ARRAYS)]
    for name in names:
        digest.update((prepared.histories.folder / f"{name}.npy").read_bytes())
    digest.update(json.dumps([asdict(sasrec), threads, describe_machine()], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def _measure_sasrec(prepared: Prepared, python: Path, result: Path, *, sasrec: Sasrec, threads: int) -> None:
    scratch = result.with_name("sasrec")
    with explain_storage_faults(scratch):
        shutil.rmtree(scratch, ignore_errors=True)
    export_split(
        prepared.histories, scratch / "data" / prepared.name, name=prepared.name, max_history=sasrec.max_history
    )
    # RecBole writes logs, TensorBoard files and checkpoints into the folder it is started in.
    run_side(
        python,
        "sasrec",
        prepared.name,
        options={"data": scratch / "data", "result": result} | asdict(sasrec),
        log=result.with_name("sasrec.log"),
        threads=threads,
        cwd=scratch,
    )
    shutil.rmtree(scratch, ignore_errors=True)


def _measure_learn(prepared: Prepared, folder: Path, *, settings: Settings, threads: int, seed: int) -> Side:
    scratch, result, file = folder / "towers", folder / "towers.json", folder / "settings.json"
    chosen = settings.override(training__device="cpu", training__reuse=False)
    with explain_storage_faults(folder):
        shutil.rmtree(scratch, ignore_errors=True)
        result.unlink(missing_ok=True)
        file.write_text(chosen.model_dump_json(), encoding="utf-8")
    options = {
        "histories": prepared.histories.folder.absolute(),
        "content": prepared.content_path.absolute(),
        "settings": file,
        "scratch": scratch,
        "seed": seed,
        "result": result,
    }
    run_side(sys.executable, "ours", options=options, log=folder / "towers.log", threads=threads, cwd=ROOT)
    shutil.rmtree(scratch, ignore_errors=True)
    return Side.read(result)


def _time_encoding(prepared: Prepared, store: Path, settings: ContentSettings, *, threads: int) -> float:
    with explain_storage_faults(store):
        shutil.rmtree(store, ignore_errors=True)
    chosen = settings.model_copy(update={"threads": threads, "shards": 1})
    items = prepared.folder / "tables" / "items.parquet"
    plan = plan_extraction(items, store=store, settings=chosen, folder=store / "plan")
    seconds = sum(encode_shard(plan, shard).seconds for shard in plan.shards)
    shutil.rmtree(store, ignore_errors=True)
    return seconds


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_set", choices=sorted(SOURCES), nargs="?", default="scientific")
    parser.add_argument(
        "--data", type=Path, default=find_real_data(), help="folder of the public data sets (%(default)s)"
    )
    parser.add_argument("--workspace", type=Path, default=_WORKSPACE, help="folder for results")
    parser.add_argument("--settings", type=Path, default=None, help="TOML file of settings; the defaults if not given")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each side")
    parser.add_argument("--epochs", type=int, default=Sasrec.epochs, help="of SASRec, at most")
    parser.add_argument("--hidden-size", type=int, default=Sasrec.hidden_size, help="of SASRec")
    parser.add_argument("--again", action="store_true", help="measure RecBole again")
    parser.add_argument("--encode", action="store_true", help="measure the frozen LLM's pass over the catalogue too")
    parser.add_argument("--result", type=Path, default=None, help="JSON file to write")
    return parser.parse_args()


def _format_settings(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path else ""
    except OSError as fault:
        fix = "name a TOML file with --settings, or none"
        raise SettingsError(f"The settings cannot be read: {fault.strerror}.", where=path, fix=fix) from fault


def main() -> None:
    """Measure both sides, print the ratios, and write the record if asked to."""
    configure_process()
    # A terminated benchmark ends the way an interrupted one does: the side it started does not work on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = _parse_options()
    try:
        text = _format_settings(options.settings)
        record = run_side_by_side(
            prepare(SOURCES[options.data_set], data=options.data, workspace=options.workspace),
            workspace=options.workspace,
            settings=Settings.from_toml(text),
            threads=options.threads,
            sasrec=Sasrec(epochs=options.epochs, hidden_size=options.hidden_size),
            again=options.again,
            encode=options.encode,
        )
    except LearnError as error:
        sys.exit(f"{error.headline}\n{error}")
    written = json.dumps(asdict(record), indent=2)
    if options.result:
        options.result.write_text(written + "\n", encoding="utf-8")
    print(written)


if __name__ == "__main__":
    main()
