"""Build the bento of the installed package, by the recipe ``bentofile.yaml`` next to this file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

import learn
from learn.environment import configure_process
from learn.errors import ServingError, explain_storage_faults
from learn.storage import open_working_folder

_RECIPE = Path(__file__).with_name("bentofile.yaml")

_PACKAGE = "learn"
_BUILD_SECONDS = 300
_SHOWN_LINES = 12
_TAG = re.compile(r"^__tag__:(\S+)$", re.MULTILINE)


def serve_command(tag: str) -> str:
    """Return the command line that serves a bento, reachable only from this machine."""
    return f"bentoml serve {tag} --host 127.0.0.1"


def build_bento(*, model_tag: str) -> str:
    """Build a bento of the service and one stored model, and put it into BentoML's store.

    The packed code is the package that runs, not the files in the working directory.

    Args:
        model_tag: Tag of the model in BentoML's store; its name becomes the bento's.

    Returns:
        The bento's tag.

    Raises:
        ServingError: The recipe is damaged, or BentoML cannot build.
        StorageError: The disk is full or not writable.
    """
    recipe = _build_recipe(_RECIPE, model_tag=model_tag)
    configure_process()
    temporary = Path(tempfile.gettempdir())
    with open_working_folder(temporary, prefix="learn-bento-") as context, explain_storage_faults(context):
        # A separate build folder: BentoML walks through every file of it, also environments and data folders.
        shutil.copytree(
            Path(learn.__file__).resolve().parent, context / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
        )
        (context / _RECIPE.name).write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        return _build(context)


def _build_recipe(bentofile: Path, *, model_tag: str) -> dict[str, Any]:
    try:
        recipe = yaml.safe_load(bentofile.read_text(encoding="utf-8"))
        (model,) = recipe["models"]
        alias = model["alias"]
    except FileNotFoundError as fault:
        raise ServingError(
            "The bento's recipe is missing.", where=bentofile, fix="install the project again"
        ) from fault
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as fault:
        raise ServingError(
            f"The bento's recipe is damaged: {fault}.", where=bentofile, fix="restore the project's own file"
        ) from fault
    name = model_tag.partition(":")[0]
    return {**recipe, "name": name, "models": [{"tag": model_tag, "alias": alias}]}


def _build(context: Path) -> str:
    # A separate process, because BentoML changes the working directory and the import path while it builds.
    # The recipe's path is given, because BentoML refuses to find it below a folder whose name begins with a dot.
    recipe = ("--bentofile", str(context / _RECIPE.name))
    command = [sys.executable, "-m", "bentoml", "build", str(context), *recipe, "--output", "tag"]
    try:
        done = subprocess.run(command, cwd=context, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    except subprocess.TimeoutExpired as fault:
        raise ServingError(
            f"BentoML did not build within {_BUILD_SECONDS} seconds.", fix="try again on a less busy machine"
        ) from fault
    found = _TAG.search(done.stdout)
    if done.returncode or found is None:
        said = (done.stdout + done.stderr).strip().splitlines()[-_SHOWN_LINES:]
        raise ServingError("BentoML could not build the service:\n" + "\n".join(said), fix="see BentoML's lines above")
    return found[1]
