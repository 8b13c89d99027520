"""Change aliases: promote, roll back, withdraw. Each change is recorded with who, when and why.

Only a bundle that is in the store and complete can get an alias. Two processes that change aliases at the same time
wait for each other. A run promotes its own model if that was requested and the gate allows it.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from learn.errors import BundleError, ServingError, explain_storage_faults
from learn.evaluation import Decision
from learn.registry.aliases import Action, Alias, Challenger, Change, ModelAliases, find_aliases_path, read_alias_file
from learn.registry.bundle import read_bundle
from learn.registry.store import StoredModel, find_stored
from learn.registry.summary import Champion, Promotion
from learn.storage import write_atomic

_LOCK_SECONDS = 30.0


class ChampionMovedError(ServingError):
    """Another model became the champion in the meantime."""


def describe_author() -> str:
    """Return the author of a manual change: ``user@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def promote(name: str, version: str, *, reason: str, by: str) -> Change | None:
    """Make a stored model the champion; a rollback returns to the present one.

    A challenger that becomes the champion is no longer the challenger.

    Args:
        name: Name of the model in the store.
        version: Version of the bundle, or its first characters if they are unique.
        reason: The reason, for the history.
        by: The author, as :func:`describe_author` returns it, or a flow's run.

    Returns:
        The recorded change; None if it is the champion already.

    Raises:
        BundleError: The store does not hold it, or it is damaged.
        ServingError: The aliases cannot be read, or another process has locked them.
        StorageError: The disk is full or not writable.
    """
    return _set_champion(name, version, reason=reason, by=by, over=lambda _: True)


def promote_over(name: str, version: str, *, champion: str | None, reason: str, by: str) -> Change | None:
    """Make a stored model the champion as :func:`promote` does, but only if a given model is still the champion.

    Args:
        name: Name of the model in the store.
        version: Version of the bundle, or its first characters if they are unique.
        champion: Version that the model was compared with; None: there was no champion.
        reason: The reason, for the history.
        by: The author.

    Returns:
        As :func:`promote`.

    Raises:
        ChampionMovedError: Another model is the champion now.
        BundleError: As :func:`promote` raises it.
        ServingError: As :func:`promote` raises it.
        StorageError: The disk is full or not writable.
    """
    return _set_champion(name, version, reason=reason, by=by, over=lambda now: now == champion)


def _set_champion(
    name: str, version: str, *, reason: str, by: str, over: Callable[[str | None], bool]
) -> Change | None:
    model = _verify(find_stored(name, version))

    def change(now: ModelAliases) -> ModelAliases:
        if now.champion == model.version:
            return now
        if not over(now.champion):
            raise ChampionMovedError(
                f"The champion is now {now.champion or 'nobody'}, with which the model was not compared.",
                where=name,
                fix="run the flow again, or promote the model yourself with `learn models promote`",
            )
        earlier = (*now.earlier_champions, now.champion) if now.champion else ()
        freed = None if now.find_alias(model.version) == "challenger" else now.challenger
        return now.model_copy(update={"champion": model.version, "earlier_champions": earlier, "challenger": freed})

    return _apply_change(name, change, action="promote", alias="champion", reason=reason, by=by)


def promote_challenger(name: str, version: str, *, share: float, shadow: bool, reason: str, by: str) -> Change | None:
    """Make a stored model the challenger, in place of any other.

    The same challenger with another share or mode continues its experiment: its users keep it while the share
    grows.

    Args:
        name: Name of the model in the store.
        version: Version of the bundle, or its first characters if they are unique.
        share: Share of the users, above 0 and at most 1.
        shadow: Whether its answers are only logged.
        reason: The reason, for the history.
        by: The author.

    Returns:
        The recorded change; None if nothing changes.

    Raises:
        BundleError: As :func:`promote` raises it.
        ServingError: There is no champion, or it is this model; or as :func:`promote` raises it.
        StorageError: The disk is full or not writable.
    """
    model = _verify(find_stored(name, version))

    def change(now: ModelAliases) -> ModelAliases:
        if now.champion is None or now.champion == model.version:
            what = "There is no champion yet" if now.champion is None else f"{model.version} is the champion itself"
            raise ServingError(
                f"{what}, so this model cannot become the challenger.",
                where=name,
                fix="promote another model as the champion first",
            )
        present = now.challenger
        goes_on = present is not None and present.version == model.version
        experiment = present.experiment if present and goes_on else f"{model.version}@{_read_clock().isoformat()}"
        challenger = Challenger(version=model.version, share=share, shadow=shadow, experiment=experiment)
        return now.model_copy(update={"challenger": challenger})

    return _apply_change(name, change, action="promote", alias="challenger", reason=reason, by=by)


def roll_back(name: str, *, reason: str, by: str) -> Change:
    """Make the previous champion the champion again; a second call goes back one further.

    Raises:
        BundleError: The earlier champion is gone from the store, or damaged.
        ServingError: There was none; or as :func:`promote` raises it.
        StorageError: The disk is full or not writable.
    """

    def change(now: ModelAliases) -> ModelAliases:
        if not now.earlier_champions:
            raise ServingError(
                "There is no earlier champion to roll back to.",
                where=name,
                fix="choose one of `learn models list` and promote it",
            )
        *earlier, back = now.earlier_champions
        model = _verify(find_stored(name, back))
        freed = None if now.find_alias(model.version) == "challenger" else now.challenger
        return now.model_copy(
            update={"champion": model.version, "earlier_champions": tuple(earlier), "challenger": freed}
        )

    done = _apply_change(name, change, action="rollback", alias="champion", reason=reason, by=by)
    if done is None:
        raise AssertionError("the same champion is never twice in a row among the earlier ones")
    return done


def withdraw(name: str, *, reason: str, by: str) -> Change:
    """Remove the challenger, so that everyone gets the champion.

    Raises:
        ServingError: There is none; or as :func:`promote` raises it.
        StorageError: The disk is full or not writable.
    """

    def change(now: ModelAliases) -> ModelAliases:
        if now.challenger is None:
            raise ServingError("There is no challenger to remove.", where=name, fix="see `learn models list`")
        return now.model_copy(update={"challenger": None})

    done = _apply_change(name, change, action="withdraw", alias="challenger", reason=reason, by=by)
    if done is None:
        raise AssertionError("there was a challenger before")
    return done


def _verify(model: StoredModel) -> StoredModel:
    """Return a model if its files are intact and this version of the code can serve it."""
    version = read_bundle(model.folder).version
    if version != model.version:
        raise BundleError(
            f"The store has bundle {version} under the wrong name {model.version}.",
            where=model.folder,
            fix="remove it from the store with `bentoml models delete`",
        )
    return model


def _apply_change(
    name: str,
    changed: Callable[[ModelAliases], ModelAliases],
    *,
    action: Action,
    alias: Alias,
    reason: str,
    by: str,
) -> Change | None:
    path = find_aliases_path()
    with explain_storage_faults(path), _lock(path):
        file = read_alias_file(path)
        now = file.models.get(name, ModelAliases())
        then = changed(now)
        if then == now:
            return None
        before, after = (
            each.champion if alias == "champion" else each.challenger.version if each.challenger else None
            for each in (now, then)
        )
        placed = then.challenger if alias == "challenger" else None
        record = Change(
            time=_read_clock(),
            by=by,
            action=action,
            alias=alias,
            before=before,
            after=after,
            reason=reason,
            share=placed.share if placed else None,
            shadow=placed.shadow if placed else False,
        )
        kept = then.model_copy(update={"history": (*now.history, record)})
        updated = file.model_copy(update={"models": {**file.models, name: kept}})
        write_atomic(path, updated.model_dump_json(indent=2) + "\n")
    return record


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=_LOCK_SECONDS)
    try:
        with lock:
            yield
    except Timeout as fault:
        raise ServingError(
            f"Another process has locked the aliases for {_LOCK_SECONDS:g} seconds.",
            where=path,
            fix="wait for it to finish, or stop it, and try again",
        ) from fault


def _read_clock() -> datetime:
    return datetime.now(tz=UTC).replace(microsecond=0)


def promote_run(
    tag: str, decision: Decision, *, rule: Literal["never", "if-better", "always"], champion: Champion, by: str
) -> Promotion:
    """Make the model of a run the champion, if that was requested and the gate allows it.

    Args:
        tag: Tag of the model in the store, ``name:version``.
        decision: The gate's decision.
        rule: ``if-better`` promotes only a model that the gate found fit, and only over the champion it was compared
            with; ``always`` promotes in any case, and the history lists the failed rules.
        champion: The champion as found before the training.
        by: Name of the run.

    Raises:
        BundleError: The stored model is gone or damaged.
        ServingError: The aliases cannot be read, or another process has locked them.
        StorageError: The disk is full or not writable.
    """
    name, _, version = tag.partition(":")

    def leave(said: str) -> Promotion:
        return Promotion(rule, promoted=False, before=champion.version, said=said)

    if rule == "never":
        return leave("Not promoted: promotion was not requested (--promote).")
    if rule == "if-better" and not decision.fit:
        return leave(f"Not promoted: the gate refused it: {_name_rule(decision)}.")
    reason = (
        "the gate let it pass"
        if decision.fit
        else f"the gate refused it ({_name_rule(decision)}), but `always` was given"
    )
    try:
        why = f"--promote {rule}: {reason}"
        if rule == "always":
            change = promote(name, version, reason=why, by=by)
        else:
            change = promote_over(name, version, champion=champion.version, reason=why, by=by)
    except ChampionMovedError as moved:
        return leave(f"Not promoted. {moved.what}")
    if change is None:
        return leave(f"Nothing changed: {version} is already the champion.")
    over = "the first champion" if change.before is None else f"the champion, in the place of {change.before}"
    return Promotion(rule, promoted=True, before=change.before, said=f"{version} is {over}: {reason}.")


def _name_rule(decision: Decision) -> str:
    return ", ".join(name.replace("_", " ") for name in decision.failed)
