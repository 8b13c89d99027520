"""The models that a run names: the champion, earlier weights, the model in production, the monitored model.

Each is found before any work begins, so that a wrong name costs nothing. Without the options there is none.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from learn.config import Settings, read_choice
from learn.errors import BundleError, DriftError
from learn.evaluation import Rule
from learn.model import TowerScorer
from learn.monitoring import FOLDER, MonitoredModel
from learn.registry import Champion, ProductionBundle, read_bundle

if TYPE_CHECKING:
    from learn.config import Settings
    from learn.evaluation import ProductionModel
    from learn.model import WarmStart
    from learn.registry import ProductionBundle, StartBundle


PromoteRule = Literal["never", "if-better", "always"]


def read_promote_rule(word: str) -> PromoteRule:
    """Read what `--promote` says.

    Raises:
        SettingsError: It is none of the three words.
    """
    rule: PromoteRule = read_choice(word, choices=PromoteRule, option="--promote")
    return rule


def find_opponents(
    production: str, *, promote: PromoteRule, settings: Settings
) -> tuple[Champion, ProductionBundle | None]:
    """Find the champion, and the model that is evaluated next to the new towers: the champion, if no other is named.

    Args:
        production: What `--production` says; empty: the champion.
        promote: What `--promote` says.
        settings: Of this run.

    Raises:
        BundleError: The model that `--production` names cannot be obtained; or `--promote if-better` is requested and
        the
            champion cannot be compared with; this is reported before a training, not after it.
        ServingError: The aliases cannot be read.
    """
    champion = _find_champion(settings)
    if production:
        opponent = resolve_production(production, settings=settings)
        same = opponent is not None and opponent.version == champion.version
        fault = f"`--production {production}` names another opponent."
        champion = replace(champion, bundle=opponent, fault="") if same else replace(champion, bundle=None, fault=fault)
    else:
        opponent = champion.bundle
        print(_describe_champion(champion, settings))
    if promote == "if-better" and champion.version is not None and champion.bundle is None:
        raise BundleError(
            f"`--promote if-better` needs the champion to compare with, and it cannot be: {champion.fault}",
            where=f"{settings.serving.model_name}:{champion.version}",
            fix="leave out `--promote` and promote the model yourself, or roll back to a champion that can be compared",
        )
    return champion, opponent


def require_opponent(champion: Champion) -> Rule | None:
    """Return the gate's rule if there was no comparison; None if there was one."""
    if champion.version is None:
        return Rule("champion", True, "Nobody has promoted a model yet, so there is no champion to compare with.")
    if champion.bundle is None:
        said = f"It was not compared with the champion, {champion.version}: {champion.fault}"
        return Rule("champion", False, said)
    return None


def find_champion_version(settings: Settings) -> str | None:
    """Return the version of the champion; None if nobody has promoted any.

    Raises:
        ServingError: The aliases cannot be read.
    """
    home = Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml").expanduser()
    if not home.is_dir():
        # Asking BentoML would make it, and a run that stops here must leave nothing behind.
        return None
    from learn.registry import read_aliases

    return read_aliases(settings.serving.model_name).champion


def _find_champion(settings: Settings) -> Champion:
    version = find_champion_version(settings)
    if version is None:
        return Champion(None)
    from learn.registry import find_champion_bundle

    try:
        return Champion(version, find_champion_bundle(version, settings))
    except BundleError as fault:
        return Champion(version, fault=fault.what)


def _describe_champion(champion: Champion, settings: Settings) -> str:
    name = settings.serving.model_name
    if champion.version is None:
        return f"Champion: nobody has promoted a `{name}` yet, so there is nothing to compare with."
    if champion.bundle is None:
        return f"Champion: {name}:{champion.version} is not compared with. {champion.fault}"
    return f"Champion: {name}:{champion.version} is compared with the new towers."


_FLOW = "TrainFlow"
_NAMES = "give the id of a finished train run, the folder of a bundle, or a tag of BentoML's model store (NAME:latest)"


def resolve_start(name: str, *, settings: Settings) -> StartBundle | None:
    """Find the bundle of a name, and check that a training with these settings can start from it.

    Args:
        name: The folder of a bundle; or a tag of BentoML's model store, ``NAME:VERSION`` or ``NAME:latest``; or the
            id of a train run, ``ID`` or ``TrainFlow/ID``. Empty: none.
        settings: Of this run.

    Raises:
        BundleError: There is no such folder, model or run, the run has no bundle (any more), or its towers or its
            encoder are others.
    """
    if not name:
        return None
    from learn.registry import check_start

    return check_start(find_bundle_folder(name, option="--init-from"), settings=settings)


def refuse_seen_windows(start: StartBundle | None, histories: Path, *, tables: Path) -> None:
    """Refuse a bundle that was trained on what this run measures by.

    Raises:
        BundleError: As :func:`learn.registry.earlier.refuse_seen_windows` raises it.
    """
    if start is None:
        return

    from learn.registry import refuse_seen_windows as refuse

    refuse(start, histories, tables=tables)


def read_start_weights(start: StartBundle | None, *, tables: Path) -> WarmStart | None:
    """Read the weights.

    Raises:
        BundleError: The bundle was damaged or replaced since it was checked.
    """
    if start is None:
        return None
    from learn.registry import read_start

    return read_start(start, tables=tables)


def resolve_production(name: str, *, settings: Settings) -> ProductionBundle | None:
    """Find the model in production, and say in one line what it is.

    Args:
        name: As for :func:`resolve_start`; or ``latest``: the model last stored under the served model's name, if
            there is one that can be compared with; ``none``: none.
        settings: Of this run.

    Raises:
        BundleError: There is no bundle of that name, or it reads other content vectors; never for ``latest``.
    """
    if name == "none":
        print("Production: the towers are not compared with a model in production.")
        return None
    from learn.registry import check_production, find_newest_production

    if name != "latest":
        found = check_production(find_bundle_folder(name, option="--production"), settings=settings)
        print(f"Production: bundle {found.version} is compared with the new towers.")
        return found
    stored = settings.serving.model_name
    try:
        newest = find_newest_production(settings)
    except BundleError as fault:
        print(f"Production: the newest `{stored}` is not compared with. {fault.what}")
        return None
    if newest is None:
        print(f"Production: BentoML's model store has no model `{stored}` yet, so there is nothing to compare with.")
        return None
    print(f"Production: {stored}:{newest.version} is compared with the new towers.")
    return newest


def read_production_model(found: ProductionBundle | None, histories: Path, *, tables: Path) -> ProductionModel | None:
    """Read the model in production.

    Raises:
        BundleError: The bundle was damaged or replaced since it was checked.
    """
    if found is None:
        return None
    from learn.registry import read_production

    return read_production(found, histories, tables=tables)


def find_bundle_folder(name: str, *, option: str) -> Path:
    """Return the folder of a name's bundle; names are read as in :func:`resolve_start`.

    Args:
        name: Not empty.
        option: Of the command line that gave it.

    Raises:
        BundleError: There is no such folder, model or run, or the run has no bundle (any more).
    """
    if Path(name).is_dir():
        return Path(name)
    if ":" in name:
        from learn.registry import load_stored

        return load_stored(name).folder
    run_id = name.removeprefix(f"{_FLOW}/")
    if "/" in run_id or run_id.startswith("."):
        raise BundleError("There is no bundle in this folder.", where=f"{option} {name}", fix=_NAMES)
    return _find_run_folder(run_id, where=f"{option} {name}")


def _find_run_folder(run_id: str, *, where: str) -> Path:
    release = _release(run_id, where=where)
    folder = Path(release["bundle"])
    if folder.is_dir():
        return folder
    from learn.registry import load_stored

    # The workspace may have been cleared, or be on another machine; the model store keeps a copy.
    try:
        return load_stored(release["model_tag"]).folder
    except BundleError:
        raise BundleError(
            f"The bundle of run {run_id} is gone: neither its folder exists, nor `{release['model_tag']}` in BentoML's "
            "model store.",
            where=folder,
            fix="give another run, or the folder of a copy",
        ) from None


def _release(run_id: str, *, where: str) -> dict[str, Any]:
    release: dict[str, Any] = find_finished_task(run_id, where=where)["bundle"].data
    return release


def find_finished_task(run_id: str, *, where: str) -> Any:
    """Return the last task of a finished train run, as Metaflow's client gives it.

    Args:
        run_id: Without the flow's name.
        where: What named it.

    Raises:
        BundleError: There is no such run, or it has not finished.
    """
    from metaflow.client.core import Run
    from metaflow.exception import MetaflowNotFound

    try:
        # Runs of others, too: a retraining is often started by another user than the first training was.
        run = Run(f"{_FLOW}/{run_id}", _namespace_check=False)
    except MetaflowNotFound:
        raise BundleError(f"There is no train run `{run_id}`.", where=where, fix=_NAMES) from None
    try:
        task = run["end"].task
        if task is None:
            raise KeyError("end")
        # Set in the last lines of the last step: if it is set, everything is finished.
        task["bundle"]
    except (KeyError, AttributeError, MetaflowNotFound):
        raise BundleError(
            f"Run {run_id} has no bundle: it has not finished.",
            where=where,
            fix="finish it with `python flows/train_flow.py resume`, or give another run",
        ) from None
    return task


def find_monitored_folder(name: str, *, settings: Settings) -> Path:
    """Return the folder of the bundle that is watched: as named, or the champion.

    Args:
        name: What ``--bundle`` says; empty: the champion, since it is what people see.
        settings: Name of the model.

    Raises:
        BundleError: There is no bundle of that name; or none was named, and there is no champion.
        ServingError: The aliases cannot be read.
    """
    if name:
        return find_bundle_folder(name, option="--bundle")
    model, version = settings.serving.model_name, find_champion_version(settings)
    if version is None:
        raise BundleError(
            f"Nobody has promoted a `{model}` yet, so there is no champion to monitor.",
            where="--bundle",
            fix=f"promote one (`learn models promote VERSION`), or give the model: `--bundle {model}:latest`",
        )
    return find_bundle_folder(f"{model}:{version}", option="--bundle")


def read_monitored_model(folder: Path) -> MonitoredModel:
    """Read a bundle as a model to watch.

    Raises:
        BundleError: It is no bundle, or damaged.
    """
    bundle = read_bundle(folder)
    scorer = TowerScorer.from_vectors(
        bundle.towers,
        # Copies: the bundle's own arrays cannot be written to, and torch warns of them.
        item_inputs=torch.tensor(bundle.item_inputs),
        item_vectors=torch.tensor(bundle.item_vectors),
    )
    return MonitoredModel(bundle.version, bundle.manifest.weights_sha256, bundle.items, scorer)


def find_profile_folder(bundle: Path, *, named: str) -> Path:
    """Return the folder of the reference profile: as named, or in the bundle, or next to it.

    Raises:
        DriftError: There is none.
    """
    places = [Path(named)] if named else [bundle / FOLDER, bundle.parent / FOLDER]
    for place in places:
        if place.is_dir():
            return place
    raise DriftError(
        "The bundle has no reference profile.",
        where=places[0],
        fix="give the profile's folder with `--profile`, or train again: `learn train` puts one into the bundle",
    )
