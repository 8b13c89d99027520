"""Measure what must not change by accident: weights, metrics, a bundle, report texts, the OpenAPI document.

    python -m tests.golden.measure    # writes tests/golden/golden.json again; say in the commit what changed and why

Everything is made from seeds in float32 on one thread. Sums differ in their last digits between processors, so weights
and figures are compared with a tolerance, and as bytes only on the kind of processor that recorded them.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.evaluation.baselines import Popularity
from learn.evaluation.evaluator import evaluate_models
from learn.evaluation.ranking import Scorer
from learn.evaluation.selection import make_validation_measure
from learn.model.checkpoint import load_towers
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.trainer import train_towers
from learn.registry.bundle import read_bundle
from learn.report.cards import write_index
from learn.report.pages import write_evaluation_page
from tests.serving.synthetic_model import made_up_parts
from tests.synthetic_run import made_up_metrics, made_up_result
from tests.synthetic_shop import content_vectors, histories

FILE = Path(__file__).with_name("golden.json")
LOSSES = ("full_softmax", "sampled_softmax", "dense_all_action")


def measure_golden(folder: Path) -> dict[str, Any]:
    """Return all golden values, each under its name; ``folder`` holds what is made meanwhile."""
    torch.set_num_threads(1)
    shop, content = histories(folder / "shop"), content_vectors()
    weights, metrics = {}, {}
    for loss in LOSSES:
        weights[loss], metrics[loss] = _measure_training(shop, content, loss, folder / loss)
    return {
        "processor": name_processor(),
        "weights": weights,
        "metrics": metrics,
        "bundle": _measure_bundle(folder / "bundle"),
        "reports": _measure_reports(folder / "reports"),
        "openapi": _measure_openapi(),
    }


def name_processor() -> str:
    """Name what decides the last bits of a sum: the instructions that torch takes, and its version."""
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


def _measure_training(
    shop: Histories, content: NDArray[np.float32], loss: str, folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    settings = Settings.from_mapping(
        {
            "towers": {"dimension": 16, "max_history": 8, "cooccurrence_rank": 8},
            "training": {"loss": loss, "epochs": 2, "precision": "float32", "device": "cpu"},
            "evaluation": {"bootstrap_samples": 100},
        }
    )
    summary = train_towers(
        shop,
        content,
        destination=folder,
        settings=settings,
        seed=7,
        measure=make_validation_measure(shop, settings=settings.evaluation, masked=True),
        say=lambda _: None,
    )
    scorer = TowerScorer(load_towers(summary.folder), content=content, ids=compute_id_rows(shop))
    models: list[Scorer] = [scorer, Popularity.fit(shop)]
    found = evaluate_models(models, shop, settings=settings.evaluation, seed=7, content=content)
    tensors = load_file(summary.folder / "towers.safetensors")
    weights = {name: _summarise(tensor) for name, tensor in sorted(tensors.items())}
    return {"sha256": summary.weights_sha256, "tensors": weights}, found.to_dict()


def _summarise(tensor: NDArray[Any]) -> dict[str, Any]:
    flat = tensor.astype(np.float64).ravel()
    # Two fixed directions tell what mean and length do not: which number is where.
    waves = [np.cos(np.arange(flat.size) * step) for step in (1.0, 0.37)]
    return {
        "shape": list(tensor.shape),
        "mean": float(flat.mean()) if flat.size else 0.0,
        "norm": float(np.linalg.norm(flat)),
        "waves": [float(wave @ flat) for wave in waves],
    }


def _measure_bundle(folder: Path) -> dict[str, Any]:
    bundle = read_bundle(made_up_parts().write(folder))
    manifest = bundle.manifest.model_dump(mode="json", exclude={"created", "run_id", "decision"})
    files = sorted(path.name for path in folder.iterdir())
    return {"version": bundle.version, "weights_sha256": manifest.pop("weights_sha256"), "manifest": manifest,
            "files": files}  # fmt: skip


def _measure_reports(folder: Path) -> dict[str, str]:
    folder.mkdir()
    result = made_up_result(folder=Path("made-up"))
    index = write_index(result, folder / "index.html", settings=Settings())
    evaluation = folder / "evaluation.html"
    write_evaluation_page(made_up_metrics(), evaluation, run_id="17", split=result.split)
    pages = {page.name: extract_text(page.read_text(encoding="utf-8")) for page in (index, evaluation)}
    return {**pages, "closing lines": result.format_closing_lines(Path("index.html"))}


def extract_text(page: str) -> str:
    """Return what a person reads on an HTML page: no markup, no style, no drawing."""
    without = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without)).split())


def _measure_openapi() -> dict[str, Any]:
    from _bentoml_sdk.service.openapi import generate_spec

    from learn.serving.service import UserTower

    document: dict[str, Any] = json.loads(json.dumps(generate_spec(UserTower).asdict(), sort_keys=True))
    # BentoML's own version and routes are its affair.
    return {name: document[name] for name in ("paths", "components")}


def hash_text(value: object) -> str:
    """Return the sha256 of a value as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        FILE.write_text(json.dumps(measure_golden(Path(scratch)), indent=1, sort_keys=True) + "\n", encoding="utf-8")
