"""What a run of the train flow does with the gate's word: promote its own model, or say why not."""

from __future__ import annotations

from typing import Literal

from learn.evaluation.gate import Decision
from learn.serving.promotion import ChampionMovedError, promote, succeed
from learn.serving.summary import Champion, Promotion


def promote_run(
    tag: str, decision: Decision, *, rule: Literal["never", "if-better", "always"], champion: Champion, by: str
) -> Promotion:
    """Make the model of a run the champion, where that was asked for and the gate allows it.

    Args:
        tag: Of the model in the store, ``name:version``.
        decision: The gate's.
        rule: ``if-better`` promotes only what the gate found fit, over the very champion that it was held against;
            ``always`` promotes in any case, and the failed rules go into the history.
        champion: As it was found before the training.
        by: The run.

    Raises:
        BundleError: The stored model is gone or damaged.
        ServingError: The aliases cannot be read, or another process holds them.
        StorageError: The disk is full or closed.
    """
    name, _, version = tag.partition(":")

    def left(said: str) -> Promotion:
        return Promotion(rule, promoted=False, before=champion.version, said=said)

    if rule == "never":
        return left("Nothing is promoted: nobody asked for it (--promote).")
    if rule == "if-better" and not decision.fit:
        return left(f"Not promoted, the gate refused it: {_named(decision)}.")
    reason = "the gate let it pass" if decision.fit else f"whatever the gate says; it refused it: {_named(decision)}"
    try:
        why = f"--promote {rule}: {reason}"
        if rule == "always":
            change = promote(name, version, reason=why, by=by)
        else:
            change = succeed(name, version, champion=champion.version, reason=why, by=by)
    except ChampionMovedError as moved:
        return left(f"Not promoted. {moved.what}")
    if change is None:
        return left(f"Nothing changes: {version} is the champion already.")
    over = "the first champion" if change.before is None else f"the champion, in the place of {change.before}"
    return Promotion(rule, promoted=True, before=change.before, said=f"{version} is {over}: {reason}.")


def _named(decision: Decision) -> str:
    return ", ".join(name.replace("_", " ") for name in decision.failed)
