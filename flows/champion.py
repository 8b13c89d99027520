"""The champion that a run's towers are held against, and what `--promote` asks for; looked at before any work."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeGuard, get_args

from flows.earlier_bundles import resolve_production
from learn.config import Settings
from learn.errors import BundleError, SettingsError
from learn.evaluation.gate import Rule
from learn.serving.summary import Champion, ProductionBundle

PromoteRule = Literal["never", "if-better", "always"]


def promote_rule(word: str) -> PromoteRule:
    """Read what `--promote` says.

    Raises:
        SettingsError: It is none of the three words.
    """
    choices = get_args(PromoteRule)
    if _is_rule(word):
        return word
    near = difflib.get_close_matches(word, choices, n=1)
    raise SettingsError(
        f"There is no `--promote {word}`.",
        where="command line",
        fix=f"did you mean `{near[0]}`?" if near else f"give one of {', '.join(choices)}",
    )


def _is_rule(word: str) -> TypeGuard[PromoteRule]:
    return word in get_args(PromoteRule)


def find_opponents(
    production: str, *, promote: PromoteRule, settings: Settings
) -> tuple[Champion, ProductionBundle | None]:
    """Find the champion, and the model that is evaluated beside the new towers: the champion, if no other is named.

    Args:
        production: What `--production` says; empty: the champion.
        promote: What `--promote` says.
        settings: Of this run.

    Raises:
        BundleError: The model that `--production` names cannot be had; or `--promote if-better` is asked for and the
            champion cannot be compared with, which is better said before a training than after it.
        ServingError: The aliases cannot be read.
    """
    champion = _champion(settings)
    if production:
        beside = resolve_production(production, settings=settings)
        same = beside is not None and beside.version == champion.version
        fault = f"`--production {production}` names another opponent."
        champion = replace(champion, bundle=beside, fault="") if same else replace(champion, bundle=None, fault=fault)
    else:
        beside = champion.bundle
        print(_said(champion, settings))
    if promote == "if-better" and champion.version is not None and champion.bundle is None:
        raise BundleError(
            f"`--promote if-better` needs the champion to compare with, and it cannot be: {champion.fault}",
            where=f"{settings.serving.model_name}:{champion.version}",
            fix="leave `--promote` out and promote by hand, or roll back to a champion that can be compared with",
        )
    return champion, beside


def presence_rule(champion: Champion) -> Rule | None:
    """Return what the gate says where there was no comparison; None where there was one."""
    if champion.version is None:
        return Rule("champion", True, "Nobody has promoted a model yet, so there is no champion to be held against.")
    if champion.bundle is None:
        said = f"It was not held against the champion, {champion.version}: {champion.fault}"
        return Rule("champion", False, said)
    return None


def champion_version(settings: Settings) -> str | None:
    """Return the version of the champion; None where nobody has promoted any.

    Raises:
        ServingError: The aliases cannot be read.
    """
    home = Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml").expanduser()
    if not home.is_dir():
        # Asking BentoML would make it, and a run that stops here shall leave nothing behind.
        return None
    from learn.serving.aliases import read_aliases

    return read_aliases(settings.serving.model_name).champion


def _champion(settings: Settings) -> Champion:
    version = champion_version(settings)
    if version is None:
        return Champion(None)
    from learn.serving.production import champion_bundle

    try:
        return Champion(version, champion_bundle(version, settings))
    except BundleError as fault:
        return Champion(version, fault=fault.what)


def _said(champion: Champion, settings: Settings) -> str:
    name = settings.serving.model_name
    if champion.version is None:
        return f"Champion: nobody has promoted a `{name}` yet, so there is nothing to compare with."
    if champion.bundle is None:
        return f"Champion: {name}:{champion.version} is not compared with. {champion.fault}"
    return f"Champion: {name}:{champion.version} is evaluated beside the new towers."
