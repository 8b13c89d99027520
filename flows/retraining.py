"""Start a training from the monitor: `train_flow.py` on the newest data.

Metaflow's Runner starts it on the monitor's machine. A monitor that runs on Argo can send an event to the deployed
train flow instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import tomli_w

from flows.models import PromoteRule
from learn.config import Settings, read_choice
from learn.errors import DataError, TrainingError
from learn.monitoring import Retraining, Trained, retrain

RetrainRule = Literal["never", "on-verdict"]

# Set in every pod of a deployed flow.
_ON_ARGO = "ARGO_WORKFLOW_TEMPLATE"
_FLOW = Path(__file__).with_name("train_flow.py")
# Places and webhooks do not change a model.
_NO_MATTER = {"workspace", "reports", "monitoring"}


def read_retrain_rule(word: str, *, data: Path) -> RetrainRule:
    """Read `--retrain`, and check that there is a folder to train on.

    Raises:
        DataError: There is no such folder, nor a pointer to pull it by.
        SettingsError: It is neither word.
    """
    rule: RetrainRule = read_choice(word, choices=RetrainRule, option="--retrain")
    if rule == "on-verdict" and not data.exists() and not data.with_name(f"{data.name}.dvc").exists():
        raise DataError("There is no such data folder.", where=data, fix="give the folder to train on with --data")
    return rule


def retrain_on_verdict(
    verdict: str,
    *,
    rule: RetrainRule,
    data: Path,
    promote: PromoteRule,
    values: dict[str, Any],
    scratch: Path,
    event: str = "",
) -> Retraining:
    """Train on the newest data if the verdict asks for it and nothing prevents it.

    Args:
        verdict: The monitor's.
        rule: What `--retrain` says.
        data: Folder of the newest data.
        promote: What the train flow must do with a fit model.
        values: What the settings file holds: the training is given the same.
        scratch: Folder for the training's settings file.
        event: By which a deployed train flow is asked; empty: the training runs here, as it does outside of Argo.

    Raises:
        DataError: The data folder is missing or empty.
        TrainingError: The state of earlier retrainings cannot be read, or Argo Events takes no event.
        StorageError: The disk is full or not writable.
    """
    if rule == "never" or verdict != "retrain":
        said = "retraining was not requested (`--retrain`)" if rule == "never" else f"the verdict is {verdict}"
        return Retraining("not_wanted", f"No retraining: {said}.")
    settings = Settings.from_mapping(values)
    return retrain(
        settings.workspace.absolute() / "retraining" / settings.serving.model_name,
        settings=settings.monitoring,
        known=lambda: find_known_model(data, settings=settings),
        train=lambda: (
            _read_request(event, data, promote=promote)
            if event and os.environ.get(_ON_ARGO)
            else _train(data, promote=promote, values=values, scratch=scratch)
        ),
    )


def find_known_model(data: Path, *, settings: Settings) -> str:
    """Describe the stored model that was made from this data and these settings; empty if there is none.

    Raises:
        DataError: The folder is missing or empty.
        VersionError: DVC refused.
    """
    from learn.data import record_version
    from learn.registry import list_stored

    version = record_version(data, root=Path.cwd(), settings=settings.data).version
    wanted = settings.model_dump(mode="json", exclude=_NO_MATTER)
    for model in list_stored(settings.serving.model_name):
        made = model.manifest
        if made is None or made.data_version != version:
            continue
        if made.settings.model_dump(mode="json", exclude=_NO_MATTER) == wanted:
            return (
                f"Run {made.run_id or 'unknown'} has trained {model.version} on the same data ({version[:12]}) with "
                "the same settings: there is nothing new to learn."
            )
    return ""


def _read_request(event: str, data: Path, *, promote: PromoteRule) -> Trained:
    from metaflow.plugins.argo.argo_events import ArgoEvent, ArgoEventException

    made: Any = ArgoEvent  # it has no types
    try:
        made(event, payload={"data": str(data), "promote": promote}).publish(ignore_errors=False)
    except ArgoEventException as fault:
        raise TrainingError(
            f"The training could not be requested. {fault}", where=event, fix="check that Argo Events is available"
        ) from fault
    return Trained(
        "", succeeded=None, said=f"The event `{event}` was sent to the deployed train flow to start a training."
    )


def _train(data: Path, *, promote: PromoteRule, values: dict[str, Any], scratch: Path) -> Trained:
    from metaflow.runner.metaflow_runner import Runner

    scratch.mkdir(parents=True, exist_ok=True)
    file = scratch / "settings.toml"
    file.write_text(tomli_w.dumps(values), encoding="utf-8")
    with Runner(str(_FLOW), pylint=False, config=[("settings", str(file))]) as runner:
        running = runner.run(data=str(data), promote=promote)
        run = running.run
        run_id = "" if run is None else str(run.id)
        last = None if run is None or running.status != "successful" else run["end"].task
        if last is None:
            return Trained(run_id, succeeded=False, said=f"Training run {run_id or '(none)'} failed; see its log.")
        decision = last["decision"].data
    verdict = "fit to serve" if decision["fit"] else "not fit to serve"
    return Trained(
        run_id, succeeded=True, said=f"Run {run_id} trained a model, {verdict}. {decision['promotion']['said']}"
    )
