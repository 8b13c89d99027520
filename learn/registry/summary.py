"""What was packed, started from and compared with: small records that can be read without BentoML or torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReleaseSummary:
    """What was packed and how it answered.

    Attributes:
        bundle: Folder of the bundle.
        version: The bundle's version, which every answer carries.
        weights_sha256: Hash of its weights file.
        model_tag: In BentoML's model store.
        bento_tag: In BentoML's bento store.
        command: Serves it on this machine.
        parity_users: Users whose served list was compared with the offline ranking.
        parity_identical: Of them, with the same items in the same order.
        parity_tied: Of them, with items of equal score in another order.
        size_bytes: Of the bundle.
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
        """The command that makes it the champion: nothing does so unasked."""
        name, _, version = self.model_tag.partition(":")
        return f'learn models --name {name} promote {version} --reason "…"'

    @property
    def rollback_command(self) -> str:
        """The command that makes the champion before it the champion again."""
        return f'learn models --name {self.model_tag.partition(":")[0]} rollback --reason "…"'


@dataclass(frozen=True)
class StartBundle:
    """A bundle that was found fit to start a training from.

    Attributes:
        folder: Where it is.
        version: Of the bundle: the parent of what is trained from it.
    """

    folder: Path
    version: str


@dataclass(frozen=True)
class ProductionBundle:
    """A bundle that can be asked about the items of a run.

    Attributes:
        folder: Where it is.
        version: Of the bundle.
    """

    folder: Path
    version: str


@dataclass(frozen=True)
class Champion:
    """The model that a run's towers are compared with.

    Attributes:
        version: Of its bundle; None if nobody has promoted any.
        bundle: Where it is; None if it cannot be compared with, or is not wanted to be.
        fault: Why not, in a sentence; empty where it can.
    """

    version: str | None
    bundle: ProductionBundle | None = None
    fault: str = ""

    @property
    def opponent(self) -> str | None:
        """Version of the champion, where the towers are compared with it."""
        return None if self.bundle is None else self.version


@dataclass(frozen=True)
class Promotion:
    """What a run made of the gate's word.

    Attributes:
        asked: ``never``, ``if-better`` or ``always``.
        promoted: Whether its model is the champion now, by this run.
        before: Version of the champion before.
        said: What was done and why, in a sentence.
    """

    asked: str
    promoted: bool
    before: str | None
    said: str
