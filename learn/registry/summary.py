"""Small records of packed, start and production models, which can be read without BentoML or torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReleaseSummary:
    """The packed model, and how its service answered.

    Attributes:
        bundle: Folder of the bundle.
        version: The bundle's version, which every answer carries.
        weights_sha256: Hash of its weights file.
        model_tag: Tag in BentoML's model store.
        bento_tag: Tag in BentoML's bento store.
        command: Command that serves it on this machine.
        parity_users: Users whose served list was compared with the offline ranking.
        parity_identical: Users with the same items in the same order.
        parity_tied: Users with the same items, but those of equal score in another order.
        size_bytes: Size of the bundle.
        latency_milliseconds: Time that 95 of 100 answers take at most, without the network.
    """

    bundle: Path
    version: str
    weights_sha256: str
    model_tag: str
    bento_tag: str
    command: str
    parity_users: int
    parity_identical: int
    parity_tied: int
    size_bytes: int
    latency_milliseconds: float

    @property
    def promote_command(self) -> str:
        """The command that makes it the champion, which never happens by itself."""
        name, _, version = self.model_tag.partition(":")
        return f'learn models --name {name} promote {version} --reason "…"'

    @property
    def rollback_command(self) -> str:
        """The command that makes the previous champion the champion again."""
        return f'learn models --name {self.model_tag.partition(":")[0]} rollback --reason "…"'


@dataclass(frozen=True)
class StartBundle:
    """A bundle that a training can start from.

    Attributes:
        folder: The bundle's folder.
        version: The bundle's version: the parent of the models trained from it.
    """

    folder: Path
    version: str


@dataclass(frozen=True)
class ProductionBundle:
    """A bundle that can score the items of a run.

    Attributes:
        folder: The bundle's folder.
        version: The bundle's version.
    """

    folder: Path
    version: str


@dataclass(frozen=True)
class Champion:
    """The model that a run's towers are compared with.

    Attributes:
        version: Version of its bundle; None if nobody has promoted any.
        bundle: Its folder; None if it cannot or should not be compared with.
        fault: Why it cannot, in a sentence; empty if it can.
    """

    version: str | None
    bundle: ProductionBundle | None = None
    fault: str = ""

    @property
    def opponent(self) -> str | None:
        """Version of the champion, if the towers are compared with it."""
        return None if self.bundle is None else self.version


@dataclass(frozen=True)
class Promotion:
    """What a run did after the gate's decision.

    Attributes:
        asked: ``never``, ``if-better`` or ``always``.
        promoted: Whether its model is the champion now, by this run.
        before: Version of the previous champion.
        said: What was done and why, in a sentence.
    """

    asked: str
    promoted: bool
    before: str | None
    said: str
