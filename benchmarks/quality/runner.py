"""Doing the jobs one after another, each in its own process; finished ones are reused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.harness.provenance import ROOT
from benchmarks.quality.jobs import Job
from benchmarks.quality.results import Results

_PATIENCE_SECONDS = 30


def select_jobs(jobs: Sequence[Job], patterns: Sequence[str]) -> list[Job]:
    """Return the jobs whose name holds one of the patterns (``*`` and ``?`` as in a shell); all without a pattern."""
    return [job for job in jobs if not patterns or any(fnmatchcase(job.name, f"*{each}*") for each in patterns)]


def run(
    jobs: Sequence[Job], *, digests: Mapping[str, str], data: Path, results: Results, again: Sequence[str] = ()
) -> list[str]:
    """Do the jobs that have no result yet.

    Args:
        jobs: Which ones, in order.
        digests: Hash of each case's files.
        data: Folder of the public data sets.
        results: Where they are; jobs write into its workspace.
        again: Patterns of jobs to do again.

    Returns:
        The names of the jobs that failed; the others continued.
    """
    for job in select_jobs(jobs, again) if again else []:
        results.forget(job.compute_key(digests[job.case]))
    failed = []
    for number, job in enumerate(jobs, start=1):
        key = job.compute_key(digests[job.case])
        place = f"Job {number} of {len(jobs)}, {job.name}"
        if results.has(key):
            print(f"{place}: done before.", flush=True)
            continue
        print(f"{place} …", flush=True)
        began = time.monotonic()
        code = _run_in_process(job, data=data, workspace=results.workspace)
        seconds = time.monotonic() - began
        if code == 0 and results.has(key):
            print(f"{place}: {_format_result(results, key)}, {seconds:,.0f} s.", flush=True)
            continue
        failed.append(job.name)
        # A job reads the code again: settings that came since are in its key, and not in ours.
        said = "done by changed code, start the benchmark again" if code == 0 else "failed"
        print(f"{place}: {said}, {seconds:,.0f} s.", flush=True)
    return failed


def _run_in_process(job: Job, *, data: Path, workspace: Path) -> int:
    order = {"job": job.to_dict(), "data": str(data.absolute()), "workspace": str(workspace.absolute())}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.quality.work"],
        stdin=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        text=True,
    )
    try:
        process.communicate(json.dumps(order))
    except BaseException:
        # A stopped benchmark leaves no job behind that works on; a checkpoint holds what it did.
        process.terminate()
        process.wait(_PATIENCE_SECONDS)
        raise
    return process.returncode


def _format_result(results: Results, key: str) -> str:
    record = results.read(key)
    protocol, test = Job.from_dict(record["job"]).protocol, record.get("metrics", {}).get("test", {})
    figures = {model: (each[protocol]["recall@10"], each[protocol]["ndcg@10"]) for model, each in test.items()}
    said = (f"{model} {recall:.4f}/{ndcg:.4f}" for model, (recall, ndcg) in figures.items())
    return f"Recall/NDCG@10 on test, {protocol}: {', '.join(said)}" if test else "done"
