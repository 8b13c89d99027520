"""The models of a service: the champion, which is swapped while it serves, and the challenger next to it.

A thread watches the file of aliases. A new model is checked, built and warmed up next to the old one; then one
reference is exchanged. A request keeps its model until it is answered, so no request sees two models and
none waits. The old model is freed with its last request; until then both are in memory.

The model packed with the bento is served if nobody has promoted another. The shadow queue answers requests a second
time, off the request's path, and drops work rather than wait.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import bentoml

from learn.config import DeploymentSettings, ServingSettings
from learn.errors import BundleError, LearnError
from learn.registry import (
    Bundle,
    Challenger,
    ModelAliases,
    find_aliases_path,
    find_stored,
    load_stored,
    read_aliases,
    read_bundle,
    read_manifest,
)
from learn.traffic import Arm

MODEL_ALIAS = "learn_bundle"
"""The bento's alias of the one model packed with it, whatever its name and version."""

_NEWEST = "learn_user_tower:latest"


def load_packed() -> Bundle:
    """Read the bundle packed with the bento; straight from the source tree, the newest in the model store.

    Raises:
        BundleError: There is none, or it is damaged.
    """
    return read_bundle(_find_folder())


def read_packed_settings() -> ServingSettings:
    """Return the serving settings of the packed bundle.

    Raises:
        BundleError: As :func:`load_packed` raises it.
    """
    return read_manifest(_find_folder()).settings.serving


def _find_folder() -> Path:
    for tag in (MODEL_ALIAS, _NEWEST):
        try:
            return Path(bentoml.models.get(tag).path)
        except bentoml.exceptions.BentoMLException:
            continue
    raise BundleError(
        f"BentoML's model store has no model `{_NEWEST}`.",
        where=_NEWEST,
        fix="`bentoml models list` shows the stored models; each run of `learn train` stores one",
    )


logger = logging.getLogger("bentoml.learn")

_WARN_SECONDS = 60.0


class Shadow:
    """Does one job after another in a separate thread.

    Args:
        capacity: Jobs that may wait; further ones are skipped.

    Attributes:
        done: Number of finished jobs.
        left_out: Number of skipped jobs.
        failed: Number of jobs that raised an error.
    """

    def __init__(self, capacity: int) -> None:
        self.done = self.left_out = self.failed = 0
        self._warned = -_WARN_SECONDS
        self._jobs: queue.Queue[Callable[[], object] | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._run, name="learn-shadow", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], object]) -> bool:
        """Queue a job if there is room; it never waits."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.left_out += 1
            return False
        return True

    def close(self) -> None:
        """Do the waiting jobs, and stop."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
                self.done += 1
            except Exception:
                # Nobody sees the shadow's answers, so errors must not stop it; one a minute is logged.
                self.failed += 1
                if time.monotonic() - self._warned >= _WARN_SECONDS:
                    self._warned = time.monotonic()
                    logger.exception("The challenger could not answer in the shadow")


_DRAWN_BYTES = 8


class Servable(Protocol):
    """An object that can be served."""

    def warm_up(self) -> None:
        """Prepare everything that the first request would otherwise wait for."""


Model = TypeVar("Model", bound=Servable)


@dataclass(frozen=True)
class ServedModel(Generic[Model]):
    """One model that answers.

    Attributes:
        recommender: The object that was built from the bundle.
        version: Version of the bundle.
        arm: Its role: champion, challenger, or challenger in the shadow.
        challenger_share: Share of the users who get the challenger while this model serves; None if none is shown.
    """

    recommender: Model
    version: str
    arm: Arm
    challenger_share: float | None = None


@dataclass(frozen=True)
class _ServedPair(Generic[Model]):
    """The models that serve at one time; they are exchanged together."""

    champion: ServedModel[Model]
    challenger: ServedModel[Model] | None = None
    place: Challenger | None = None

    def draw_model(self, user_id: str | None, *, shadow: bool) -> ServedModel[Model] | None:
        if self.challenger is None or self.place is None or self.place.shadow is not shadow:
            return None
        if self.place.share == 1:
            return self.challenger
        # A request without an id cannot be given the same model twice.
        draw = 1.0 if user_id is None else draw_user(user_id, experiment=self.place.experiment)
        return self.challenger if draw < self.place.share else None

    def has_other_models(self, other: _ServedPair[Model]) -> bool:
        return [each and (each.version, each.arm) for each in (self.champion, self.challenger)] != [
            each and (each.version, each.arm) for each in (other.champion, other.challenger)
        ]


class Deployment(Generic[Model]):
    """Serves the champion, follows its alias, and decides who gets the challenger.

    A model that is damaged, missing or cannot be built is refused: this is logged and counted, the previous model
    continues to serve, and the new one is tried again after ``retry_seconds``. At the start the newest intact earlier
    champion takes its place, or else the packed model.

    Args:
        build: Builds the object that answers from a bundle; it is called in a separate thread, then warmed up.
        model_name: Name of the model in BentoML's store.
        packed: Reads the bundle that is served if nobody has promoted any.
        settings: Which model to serve, and how often to read the aliases.

    Attributes:
        swaps: Number of swaps since the start.
        refused: Number of times that a model or the file of aliases was refused.

    Raises:
        LearnError: At the start no model can be served, or not the one that ``settings.serve`` names.
    """

    def __init__(
        self,
        build: Callable[[Bundle], Model],
        *,
        model_name: str,
        packed: Callable[[], Bundle],
        settings: DeploymentSettings | None = None,
    ) -> None:
        self.swaps = self.refused = 0
        self._settings = settings or DeploymentSettings()
        self._build, self._name, self._packed = build, model_name, packed
        self._path = find_aliases_path()
        self._seen: tuple[int, ...] | None = None
        self._retry_at = float("inf")
        self._changing = threading.Lock()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._follow_aliases, name="learn-aliases", daemon=True)
        if self._settings.serve == "champion":
            self._begin()
            self._watcher.start()
        else:
            self._lineup = _ServedPair(self._load_fixed(self._settings.serve))
        self.shadow = Shadow(self._settings.shadow_queue)

    @property
    def champion(self) -> ServedModel[Model]:
        """The current champion."""
        return self._lineup.champion

    @property
    def challenger(self) -> ServedModel[Model] | None:
        """The current challenger, shown or in the shadow."""
        return self._lineup.challenger

    def choose_model(self, user_id: str | None) -> ServedModel[Model]:
        """Return the model that answers a user: always the same one while the share and the models stay the same.

        Args:
            user_id: The request's user; None gets the champion unless the challenger gets everyone.
        """
        lineup = self._lineup
        return lineup.draw_model(user_id, shadow=False) or lineup.champion

    def answer_in_shadow(self, user_id: str | None, answer: Callable[[ServedModel[Model]], object]) -> bool:
        """Let the challenger in the shadow answer too, later and in another thread.

        Args:
            user_id: The request's user.
            answer: Computes and logs the answer of the model that it is given.

        Returns:
            Whether it will be called: not without a challenger in the shadow, for users outside of its share, or where
            too many wait.
        """
        served = self._lineup.draw_model(user_id, shadow=True)
        return served is not None and self.shadow.submit(lambda: answer(served))

    def refresh(self) -> None:
        """Read the aliases now, and follow them in a thread that does nothing else."""
        with self._changing:
            mark = _mark(self._path)
            if mark == self._seen and time.monotonic() < self._retry_at:
                return
            self._seen, self._retry_at = mark, float("inf")
            try:
                aliases = read_aliases(self._name, path=self._path)
            except LearnError as fault:
                self._refuse("the new aliases", fault)
                return
            self._follow(aliases)

    def close(self) -> None:
        """Stop following the aliases and the shadow's work; the models continue to answer."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self.shadow.close()

    def _follow_aliases(self) -> None:
        while not self._stop.wait(self._settings.poll_seconds):
            try:
                self.refresh()
            except Exception:
                # If the thread ended, nobody would notice until a promotion has no effect.
                logger.exception("The aliases could not be read")

    def _follow(self, aliases: ModelAliases) -> None:
        present = self._lineup
        wanted = aliases.champion
        champion = None if wanted is None else self._load_arm(wanted, arm="champion")
        following = self._load_pair(champion or present.champion, aliases)
        if following.has_other_models(present):
            self.swaps += 1
            _say(following)
        self._lineup = following

    def _load_pair(self, champion: ServedModel[Model], aliases: ModelAliases) -> _ServedPair[Model]:
        place = aliases.challenger
        if place is None or place.version == champion.version:
            return _ServedPair(replace(champion, challenger_share=None))
        challenger = self._load_arm(place.version, arm="shadow" if place.shadow else "challenger")
        share = None if place.shadow or challenger is None else place.share
        second = None if challenger is None else replace(challenger, challenger_share=share)
        return _ServedPair(replace(champion, challenger_share=share), second, place)

    def _load_arm(self, version: str, *, arm: Arm) -> ServedModel[Model] | None:
        for each in (self._lineup.champion, self._lineup.challenger):
            if each is not None and each.version == version:
                return replace(each, arm=arm)
        try:
            return self._build_served(load_stored(f"{self._name}:{version}"), arm=arm, version=version)
        except Exception as fault:
            # Whatever is wrong with a new model, the serving one must not be affected.
            self._refuse(f"bundle {version} as {arm}", fault)
            return None

    def _build_served(self, bundle: Bundle, *, arm: Arm, version: str | None = None) -> ServedModel[Model]:
        if version is not None and bundle.version != version:
            raise BundleError(
                f"The store has bundle {bundle.version} under the wrong name {version}.",
                where=bundle.folder,
                fix="remove it from the store with `bentoml models delete`",
            )
        recommender = self._build(bundle)
        recommender.warm_up()
        return ServedModel(recommender, bundle.version, arm)

    def _refuse(self, what: str, fault: Exception) -> None:
        self.refused += 1
        self._retry_at = time.monotonic() + self._settings.retry_seconds
        trace = None if isinstance(fault, LearnError) else fault
        logger.error("Refused %s; the models that served continue. %s", what, fault, exc_info=trace)

    def _load_fixed(self, wanted: str) -> ServedModel[Model]:
        if wanted == "packed":
            return self._build_served(self._packed(), arm="champion")
        version = find_stored(self._name, wanted).version
        return self._build_served(load_stored(f"{self._name}:{version}"), arm="champion", version=version)

    def _begin(self) -> None:
        self._seen = _mark(self._path)
        aliases = read_aliases(self._name, path=self._path)
        self._lineup = _ServedPair(self._load_first_champion(aliases))
        self._lineup = self._load_pair(self._lineup.champion, aliases)
        _say(self._lineup)

    def _load_first_champion(self, aliases: ModelAliases) -> ServedModel[Model]:
        first: Exception | None = None
        for version in dict.fromkeys([aliases.champion, *reversed(aliases.earlier_champions)]):
            if version is None:
                continue
            try:
                return self._build_served(load_stored(f"{self._name}:{version}"), arm="champion", version=version)
            except Exception as fault:
                first = first or fault
                self._refuse(f"bundle {version} at the start", fault)
        try:
            return self._build_served(self._packed(), arm="champion")
        except LearnError as fault:
            # The champion's fault matters more than that there is no earlier champion.
            raise (first or fault) from fault


def draw_user(user_id: str, *, experiment: str) -> float:
    """Return a user's random number in [0, 1): the same within an experiment, independent between experiments."""
    digest = hashlib.sha256(f"{experiment}\0{user_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:_DRAWN_BYTES]) / float(1 << 8 * _DRAWN_BYTES)


def _say(lineup: _ServedPair[Model]) -> None:
    challenger = lineup.challenger
    added = "" if challenger is None else f", and {challenger.version} as {challenger.arm}"
    logger.info("Serving bundle %s%s", lineup.champion.version, added)


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
