"""Models that are swapped while they serve: nobody notices but by the version of the answer."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import bentoml
import pytest

from learn.config.serving import DeploymentSettings
from learn.errors import BundleError
from learn.registry.aliases import find_aliases_path
from learn.registry.bundle import Bundle, copy_bundle, read_bundle
from learn.registry.promotion import promote, promote_challenger, roll_back, withdraw
from learn.registry.store import load_stored, store_bundle
from learn.serving.deployment import Deployment, ServedModel, draw_user
from learn.serving.recommender import Recommender
from tests.serving.synthetic_model import item_id, made_up_parts

WHO = {"reason": "a test", "by": "someone@somewhere"}
SLOW = DeploymentSettings(poll_seconds=3_600)
"""Nothing happens but what the test requests by ``refresh``."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    parts = made_up_parts(item_count=20)
    top = tmp_path_factory.mktemp("served")
    manifests = [parts.manifest.model_copy(update={"data_version": str(n)}) for n in range(3)]
    return [replace(parts, manifest=each).write(top / str(n)) for n, each in enumerate(manifests)]


@pytest.fixture
def shop(request: pytest.FixtureRequest) -> str:
    return f"served-{abs(hash(request.node.name)):x}"


@pytest.fixture
def versions(shop: str, folders: list[Path]) -> list[str]:
    return [store_bundle(folder, name=shop).partition(":")[2] for folder in folders]


@contextmanager
def deployed(
    shop: str,
    *,
    settings: DeploymentSettings = SLOW,
    build: Callable[[Bundle], Recommender] = Recommender,
    packed: Callable[[], Bundle] | None = None,
) -> Iterator[Deployment[Recommender]]:
    def newest() -> Bundle:
        return load_stored(f"{shop}:latest")

    deployment = Deployment(build, model_name=shop, packed=packed or newest, settings=settings)
    try:
        yield deployment
    finally:
        deployment.close()


def damage(shop: str, version: str) -> Callable[[], object]:
    """Damage a stored bundle; what is returned mends it."""
    weights = Path(bentoml.models.get(f"{shop}:{version}").path_of("towers.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"x")
    return lambda: weights.write_bytes(whole)


def await_that(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


def test_the_champion_is_served_and_followed_by_itself(shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], **WHO)
    with deployed(shop, settings=DeploymentSettings(poll_seconds=0.02)) as deployment:
        assert deployment.choose_model("u").version == versions[0]
        promote(shop, versions[1], **WHO)
        assert await_that(lambda: deployment.swaps == 1)
        served = deployment.choose_model(None)
        assert (served.version, served.arm, served.recommender.version) == (versions[1], "champion", versions[1])
        roll_back(shop, **WHO)
        assert await_that(lambda: deployment.choose_model(None).version == versions[0])


def test_where_nobody_promoted_any_the_packed_model_serves_until_somebody_does(
    shop: str, versions: list[str], folders: list[Path]
) -> None:
    with deployed(shop, packed=lambda: read_bundle(folders[2])) as deployment:
        assert deployment.champion.version == versions[2]
        promote(shop, versions[0], **WHO)
        deployment.refresh()
        assert deployment.champion.version == versions[0]


@pytest.mark.parametrize("serve", ["packed", "a version"])
def test_a_fixed_model_stays_whatever_the_aliases_say(serve: str, shop: str, versions: list[str]) -> None:
    promote(shop, versions[1], **WHO)
    fixed = DeploymentSettings(serve="packed" if serve == "packed" else versions[0][:10], poll_seconds=0.01)
    with deployed(shop, settings=fixed, packed=lambda: load_stored(f"{shop}:{versions[0]}")) as deployment:
        promote(shop, versions[2], **WHO)
        time.sleep(0.1)
        assert (deployment.champion.version, deployment.swaps) == (versions[0], 0)


def test_a_damaged_champion_is_refused_and_taken_once_it_is_mended(
    shop: str, versions: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    promote(shop, versions[0], **WHO)
    promote(shop, versions[1], **WHO)
    roll_back(shop, **WHO)
    settings = DeploymentSettings(poll_seconds=3_600, retry_seconds=0.05)
    with deployed(shop, settings=settings) as deployment:
        promote(shop, versions[1], **WHO)
        mend = damage(shop, versions[1])
        deployment.refresh()
        assert (deployment.champion.version, deployment.refused, deployment.swaps) == (versions[0], 1, 0)
        assert "changed or damaged" in caplog.text
        mend()
        time.sleep(0.06)
        deployment.refresh()
        assert (deployment.champion.version, deployment.refused, deployment.swaps) == (versions[1], 1, 1)


def test_a_refused_model_is_not_read_again_at_every_look(shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], **WHO)
    with deployed(shop) as deployment:
        promote(shop, versions[1], **WHO)
        damage(shop, versions[1])
        for _ in range(5):
            deployment.refresh()
        assert deployment.refused == 1


def test_after_a_restart_with_a_damaged_champion_the_one_before_goes_on(shop: str, versions: list[str]) -> None:
    for version in versions:
        promote(shop, version, **WHO)
    for version in versions[1:]:
        damage(shop, version)
    with deployed(shop) as deployment:
        assert (deployment.champion.version, deployment.refused) == (versions[0], 2)


def test_without_any_whole_model_the_start_fails_by_the_champions_fault(shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], **WHO)
    for version in versions:
        damage(shop, version)
    with pytest.raises(BundleError, match="changed or damaged") as caught, deployed(shop):
        pass
    assert versions[0] in str(caught.value.where)


def test_another_bundle_under_the_champions_name_is_refused(
    shop: str, versions: list[str], folders: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    promote(shop, versions[0], **WHO)
    with deployed(shop) as deployment:
        promote(shop, versions[1], **WHO)
        copy_bundle(folders[2], Path(bentoml.models.get(f"{shop}:{versions[1]}").path))
        deployment.refresh()
        assert (deployment.champion.version, deployment.refused) == (versions[0], 1)
        assert f"The store has bundle {versions[2]} under the wrong name {versions[1]}" in caplog.text


def test_a_model_is_warm_before_it_answers_anybody(shop: str, versions: list[str]) -> None:
    warmed: list[tuple[str, str | None]] = []

    class Warmed(Recommender):
        def warm_up(self) -> None:
            warmed.append((self.version, deployments[0].champion.version if deployments else None))
            super().warm_up()

    deployments: list[Deployment[Recommender]] = []
    promote(shop, versions[0], **WHO)
    with deployed(shop, build=Warmed) as deployment:
        deployments.append(deployment)
        promote(shop, versions[1], **WHO)
        deployment.refresh()
        assert deployment.champion.version == versions[1]
    assert warmed == [(versions[0], None), (versions[1], versions[0])]


def test_a_model_that_cannot_be_built_is_refused(shop: str, versions: list[str]) -> None:
    def build(bundle: Bundle) -> Recommender:
        if bundle.version == versions[1]:
            raise MemoryError("no room for two")
        return Recommender(bundle)

    promote(shop, versions[0], **WHO)
    with deployed(shop, build=build) as deployment:
        promote(shop, versions[1], **WHO)
        deployment.refresh()
        assert (deployment.champion.version, deployment.refused) == (versions[0], 1)


@pytest.mark.parametrize("content", [b"", b"{", b'{"format":1,"models":{"x":{"champion":"../../etc"}}}'])
def test_a_damaged_file_of_aliases_changes_nothing(content: bytes, shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], **WHO)
    whole = find_aliases_path().read_bytes()
    with deployed(shop) as deployment:
        try:
            find_aliases_path().write_bytes(content)
            deployment.refresh()
            assert (deployment.champion.version, deployment.refused) == (versions[0], 1)
        finally:
            find_aliases_path().write_bytes(whole)


def test_the_challenger_gets_its_share_and_everyone_keeps_their_model(shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], **WHO)
    promote_challenger(shop, versions[1], share=0.2, shadow=False, **WHO)
    users = [f"user {n}" for n in range(4_000)]
    with deployed(shop) as deployment:
        first = {user: deployment.choose_model(user) for user in users}
        drawn = {user for user, served in first.items() if served.arm == "challenger"}
        assert {served.version for served in first.values()} == set(versions[:2])
        assert 0.17 < len(drawn) / len(users) < 0.23
        assert deployment.choose_model(None).arm == "champion"
        # The log says what was planned, so that the monitor can tell whether people were split so.
        assert {served.challenger_share for served in first.values()} == {0.2}
        promote_challenger(shop, versions[1], share=0.5, shadow=False, **WHO)
        deployment.refresh()
        assert drawn < {user for user in users if deployment.choose_model(user).arm == "challenger"}
        assert deployment.swaps == 0
        assert deployment.choose_model("somebody").challenger_share == 0.5
        withdraw(shop, **WHO)
        deployment.refresh()
        assert deployment.choose_model("somebody").challenger_share is None
        assert Counter(deployment.choose_model(user).version for user in users) == {versions[0]: len(users)}


def test_another_experiment_draws_other_users() -> None:
    users = [f"user {n}" for n in range(4_000)]
    first, second = ({user for user in users if draw_user(user, experiment=name) < 0.5} for name in ("a", "b"))
    assert 0.45 < len(first & second) / len(first) < 0.55


def test_a_promoted_challenger_is_not_built_again(shop: str, versions: list[str]) -> None:
    built: list[str] = []

    def build(bundle: Bundle) -> Recommender:
        built.append(bundle.version)
        return Recommender(bundle)

    promote(shop, versions[0], **WHO)
    promote_challenger(shop, versions[1], share=0.5, shadow=True, **WHO)
    with deployed(shop, build=build) as deployment:
        promote(shop, versions[1], **WHO)
        deployment.refresh()
        assert (deployment.champion.version, deployment.champion.arm) == (versions[1], "champion")
        assert deployment.challenger is None
    assert built == versions[:2]


def test_a_damaged_challenger_leaves_everyone_with_the_champion(shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], **WHO)
    promote_challenger(shop, versions[1], share=1, shadow=False, **WHO)
    damage(shop, versions[1])
    with deployed(shop) as deployment:
        assert (deployment.choose_model("u").version, deployment.refused) == (versions[0], 1)


def test_the_shadow_answers_elsewhere_and_is_never_shown(shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], **WHO)
    promote_challenger(shop, versions[1], share=1, shadow=True, **WHO)
    answered: list[tuple[str, str, str]] = []

    def answer(served: ServedModel[Recommender]) -> None:
        served.recommender.recommend([item_id(1)], k=3)
        answered.append((served.version, served.arm, threading.current_thread().name))

    with deployed(shop) as deployment:
        assert deployment.choose_model("u").version == versions[0]
        assert all(deployment.answer_in_shadow(user, answer) for user in ("u", None))
    assert answered == [(versions[1], "shadow", "learn-shadow")] * 2


def test_a_shadow_that_cannot_keep_up_or_fails_is_counted_and_holds_nobody_up(shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], **WHO)
    promote_challenger(shop, versions[1], share=1, shadow=True, **WHO)
    slow = threading.Event()

    def fail(_: ServedModel[Recommender]) -> None:
        slow.wait()
        raise RuntimeError("the challenger cannot")

    with deployed(shop, settings=DeploymentSettings(poll_seconds=3_600, shadow_queue=2)) as deployment:
        taken = [deployment.answer_in_shadow("u", fail) for _ in range(10)]
        slow.set()
        deployment.close()
        assert 2 <= sum(taken) <= 3
        assert deployment.shadow.left_out == 10 - sum(taken)
        assert deployment.shadow.failed == sum(taken)


def test_swaps_under_load_fail_no_request_and_keep_no_old_model(shop: str, versions: list[str]) -> None:
    built: list[weakref.ref[Recommender]] = []

    def build(bundle: Bundle) -> Recommender:
        recommender = Recommender(bundle)
        built.append(weakref.ref(recommender))
        return recommender

    promote(shop, versions[0], **WHO)
    stop, wrong = threading.Event(), list[str]()
    answers: Counter[str] = Counter()

    def read(deployment: Deployment[Recommender]) -> None:
        while not stop.is_set():
            try:
                served = deployment.choose_model("u")
                found = served.recommender.recommend([item_id(1), item_id(2)], k=5)
                if served.version != served.recommender.version or len(found.items) != 5:
                    wrong.append(served.version)
                answers[served.version] += 1
            except Exception as fault:
                wrong.append(repr(fault))

    swaps = 20
    with deployed(shop, build=build) as deployment:
        readers = [threading.Thread(target=read, args=(deployment,)) for _ in range(4)]
        for reader in readers:
            reader.start()
        for turn in range(1, swaps + 1):
            promote(shop, versions[turn % 3], **WHO)
            deployment.refresh()
            time.sleep(0.05)
        stop.set()
        for reader in readers:
            reader.join()
        gc.collect()
        assert not wrong
        assert (deployment.swaps, deployment.refused) == (swaps, 0)
        assert set(answers) == set(versions)
        assert len(built) == swaps + 1
        assert [each() for each in built if each() is not None] == [deployment.champion.recommender]
