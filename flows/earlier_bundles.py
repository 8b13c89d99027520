"""From what `--init-from` and `--production` name to earlier weights; without the options all of it is None."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from learn.errors import BundleError

if TYPE_CHECKING:  # names of types alone: the serving room brings torch, and most runs start from nothing
    from learn.alignment.warm_start import WarmStart
    from learn.config import Settings
    from learn.evaluation.production import ProductionModel
    from learn.serving.summary import ProductionBundle, StartBundle

_FLOW = "TrainFlow"
_NAMES = "give the id of a finished train run, the folder of a bundle, or a tag of BentoML's model store (NAME:latest)"


def resolve_start(name: str, *, settings: Settings) -> StartBundle | None:
    """Find the bundle that a name stands for, and check that a training with these settings can start from it.

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
    from learn.serving.start_bundle import check_start

    return check_start(bundle_folder(name, option="--init-from"), settings=settings)


def refuse_seen_windows(start: StartBundle | None, histories: Path, *, tables: Path) -> None:
    """Refuse a bundle that was trained on what this run measures by.

    Raises:
        BundleError: As :func:`learn.serving.start_bundle.refuse_seen_windows` raises it.
    """
    if start is None:
        return
    from learn.serving import start_bundle

    start_bundle.refuse_seen_windows(start, histories, tables=tables)


def start_weights(start: StartBundle | None, *, tables: Path) -> WarmStart | None:
    """Read the weights.

    Raises:
        BundleError: The bundle was damaged or replaced since it was checked.
    """
    if start is None:
        return None
    from learn.serving.start_bundle import read_start

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
        print("Production: no model is compared with.")
        return None
    from learn.serving import production

    if name != "latest":
        found = production.check_production(bundle_folder(name, option="--production"), settings=settings)
        print(f"Production: bundle {found.version} is evaluated beside the new towers.")
        return found
    stored = settings.serving.model_name
    try:
        newest = production.newest_production(settings)
    except BundleError as fault:
        print(f"Production: the newest `{stored}` is not compared with. {fault.what}")
        return None
    if newest is None:
        print(f"Production: BentoML's model store holds no `{stored}` yet, so there is nothing to compare with.")
        return None
    print(f"Production: {stored}:{newest.version} is evaluated beside the new towers.")
    return newest


def production_model(found: ProductionBundle | None, histories: Path, *, tables: Path) -> ProductionModel | None:
    """Read the model in production.

    Raises:
        BundleError: The bundle was damaged or replaced since it was checked.
    """
    if found is None:
        return None
    from learn.serving.production import read_production

    return read_production(found, histories, tables=tables)


def bundle_folder(name: str, *, option: str) -> Path:
    """Return the folder of the bundle that a name stands for, as :func:`resolve_start` reads names.

    Args:
        name: Not empty.
        option: Of the command line that gave it.

    Raises:
        BundleError: There is no such folder, model or run, or the run has no bundle (any more).
    """
    if Path(name).is_dir():
        return Path(name)
    if ":" in name:
        from learn.serving.registry import load_stored

        return load_stored(name).folder
    run_id = name.removeprefix(f"{_FLOW}/")
    if "/" in run_id or run_id.startswith("."):
        raise BundleError("There is no such folder of a bundle.", where=f"{option} {name}", fix=_NAMES)
    return _folder_of_run(run_id, where=f"{option} {name}")


def _folder_of_run(run_id: str, *, where: str) -> Path:
    release = _release(run_id, where=where)
    folder = Path(release["bundle"])
    if folder.is_dir():
        return folder
    from learn.serving.registry import load_stored

    # The workspace may have been cleared, or lie on another machine; the model store keeps a copy.
    try:
        return load_stored(release["model_tag"]).folder
    except BundleError:
        raise BundleError(
            f"The bundle of run {run_id} is gone: its folder is not there, nor `{release['model_tag']}` in BentoML's "
            "model store.",
            where=folder,
            fix="name another run, or the folder of a copy",
        ) from None


def _release(run_id: str, *, where: str) -> dict[str, Any]:
    release: dict[str, Any] = finished_task(run_id, where=where)["bundle"].data
    return release


def finished_task(run_id: str, *, where: str) -> Any:
    """Return the last task of a finished train run, as Metaflow's client gives it.

    Args:
        run_id: Without the flow's name.
        where: What named it.

    Raises:
        BundleError: There is no such run, or it has not come to its end.
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
        # Set in the last step's last lines: where it stands, all stands.
        task["bundle"]
    except (KeyError, AttributeError, MetaflowNotFound):
        raise BundleError(
            f"Run {run_id} has no bundle: it has not come to its end.",
            where=where,
            fix="finish it with `python flows/train_flow.py resume`, or name another run",
        ) from None
    return task
