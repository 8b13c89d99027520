"""Champion and challenger: who is promoted, what is refused, and what is written down."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import bentoml
import pytest

from learn.errors import BundleError, ServingError
from learn.registry.aliases import find_aliases_path, read_aliases
from learn.registry.promotion import describe_author, promote, promote_challenger, roll_back, withdraw
from learn.registry.store import find_stored, list_stored, load_stored, store_bundle
from tests.serving.synthetic_model import BundleParts, made_up_parts

BY = "someone@somewhere"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three small bundles of different versions."""
    parts = made_up_parts(item_count=8)
    top = tmp_path_factory.mktemp("promoted")
    return [version_of(parts, str(n)).write(top / str(n)) for n in range(3)]


def version_of(parts: BundleParts, data_version: str) -> BundleParts:
    return replace(parts, manifest=parts.manifest.model_copy(update={"data_version": data_version}))


@pytest.fixture
def shop(request: pytest.FixtureRequest) -> str:
    """A model name of this test alone."""
    return f"shop-{abs(hash(request.node.name)):x}"


@pytest.fixture
def versions(shop: str, folders: list[Path]) -> list[str]:
    return [store_bundle(folder, name=shop).partition(":")[2] for folder in folders]


def damage(name: str, version: str) -> None:
    weights = Path(bentoml.models.get(f"{name}:{version}").path_of("towers.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")


def test_a_promoted_model_is_the_champion_and_the_change_is_written_down(shop: str, versions: list[str]) -> None:
    assert read_aliases(shop).champion is None
    promote(shop, versions[0], reason="first", by=BY)
    done = promote(shop, versions[1], reason="better", by="TrainFlow/17")
    assert done is not None
    aliases = read_aliases(shop)
    assert aliases.champion == versions[1] == find_stored(shop, "champion").version
    assert load_stored(f"{shop}:champion").version == versions[1]
    with pytest.raises(BundleError, match="has no challenger"):
        load_stored(f"{shop}:challenger")
    assert aliases.history[-1] == done
    assert (done.before, done.after, done.reason, done.by) == (versions[0], versions[1], "better", "TrainFlow/17")
    assert done.time.utcoffset() is not None


def test_a_change_leaves_the_models_of_other_names_as_they_are(
    shop: str, versions: list[str], folders: list[Path]
) -> None:
    promote(shop, versions[0], reason="first", by=BY)
    before = read_aliases(shop)
    other = store_bundle(folders[1], name=f"{shop}-other").partition(":")[2]
    promote(f"{shop}-other", other, reason="first", by=BY)
    assert read_aliases(shop) == before
    assert read_aliases(f"{shop}-other").champion == other


def test_promoting_the_champion_again_changes_nothing(shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], reason="first", by=BY)
    before = find_aliases_path().read_bytes()
    assert promote(shop, versions[0], reason="again", by=BY) is None
    assert find_aliases_path().read_bytes() == before


def test_rollbacks_go_back_one_champion_after_the_other(shop: str, versions: list[str]) -> None:
    for version in versions:
        promote(shop, version, reason="newer", by=BY)
    assert roll_back(shop, reason="worse", by=BY).after == versions[1]
    assert roll_back(shop, reason="worse too", by=BY).after == versions[0]
    with pytest.raises(ServingError, match="no earlier champion"):
        roll_back(shop, reason="and on", by=BY)
    assert [change.action for change in read_aliases(shop).history] == ["promote"] * 3 + ["rollback"] * 2
    promote(shop, versions[2], reason="mended", by=BY)
    assert roll_back(shop, reason="no", by=BY).after == versions[0]


def test_a_challenger_stands_beside_the_champion_until_it_is_promoted(shop: str, versions: list[str]) -> None:
    with pytest.raises(ServingError, match="no champion yet"):
        promote_challenger(shop, versions[1], share=0.1, shadow=False, reason="try", by=BY)
    promote(shop, versions[0], reason="first", by=BY)
    with pytest.raises(ServingError, match="is the champion itself"):
        promote_challenger(shop, versions[0], share=0.1, shadow=False, reason="try", by=BY)
    promote_challenger(shop, versions[1], share=0.1, shadow=False, reason="try", by=BY)
    assert read_aliases(shop).find_alias(versions[1]) == "challenger"
    assert find_stored(shop, "challenger").version == versions[1]
    promote(shop, versions[1], reason="it won", by=BY)
    assert read_aliases(shop).challenger is None
    with pytest.raises(ServingError, match="no challenger"):
        withdraw(shop, reason="over", by=BY)


def test_a_larger_share_goes_on_with_the_experiment_and_another_challenger_begins_one(
    shop: str, versions: list[str]
) -> None:
    promote(shop, versions[0], reason="first", by=BY)
    seen = []
    for version, share in ((versions[1], 0.1), (versions[1], 0.5), (versions[2], 0.5)):
        promote_challenger(shop, version, share=share, shadow=False, reason="try", by=BY)
        challenger = read_aliases(shop).challenger
        assert challenger is not None
        assert challenger.share == share
        seen.append(challenger.experiment)
    assert seen[0] == seen[1] != seen[2]
    assert withdraw(shop, reason="over", by=BY).before == versions[2]
    assert read_aliases(shop).challenger is None


@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_a_damaged_bundle_gets_no_alias(alias: str, shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], reason="first", by=BY)
    damage(shop, versions[1])
    beside = partial(promote_challenger, share=0.1, shadow=False)
    with pytest.raises(BundleError, match="changed or damaged"):
        (promote if alias == "champion" else beside)(shop, versions[1], reason="try", by=BY)
    assert len(read_aliases(shop).history) == 1


def test_a_rollback_to_a_damaged_or_removed_bundle_is_refused(shop: str, versions: list[str]) -> None:
    for version in versions[:2]:
        promote(shop, version, reason="newer", by=BY)
    damage(shop, versions[0])
    with pytest.raises(BundleError, match="changed or damaged"):
        roll_back(shop, reason="worse", by=BY)
    bentoml.models.delete(f"{shop}:{versions[0]}")
    with pytest.raises(BundleError, match=f"has no model `{shop}:{versions[0]}`"):
        roll_back(shop, reason="worse", by=BY)
    assert read_aliases(shop).champion == versions[1]


def test_a_version_is_found_by_its_beginning_and_near_ones_are_named(shop: str, versions: list[str]) -> None:
    assert find_stored(shop, versions[0][:8]).version == versions[0]
    assert find_stored(shop, f"{shop}:{versions[0]}").version == versions[0]
    assert find_stored(shop, "latest").version == list_stored(shop)[0].version
    with bentoml.models.create(f"{shop}:{versions[0][:8]}zz"):
        pass
    with pytest.raises(BundleError, match=f"2 versions of `{shop}` begin with `{versions[0][:8]}`"):
        find_stored(shop, versions[0][:8])
    assert find_stored(shop, versions[0]).version == versions[0]
    misspelt = versions[0][:-2] + "zz"
    with pytest.raises(BundleError) as caught:
        promote(shop, misspelt, reason="try", by=BY)
    assert f"did you mean `{versions[0]}`" in caught.value.fix


@pytest.mark.parametrize("wanted", ["../../etc", "/etc/passwd", "*", "a" * 200, "nobody", "é", "%2e%2e"])
def test_a_name_from_outside_never_becomes_a_path(wanted: str, shop: str, versions: list[str]) -> None:
    with pytest.raises(BundleError, match="has no model"):
        find_stored(shop, wanted)
    with pytest.raises(BundleError, match="has no model"):
        find_stored(wanted, versions[0])


def test_a_file_that_is_damaged_is_refused_and_kept(shop: str, versions: list[str]) -> None:
    promote(shop, versions[0], reason="first", by=BY)
    path = find_aliases_path()
    whole = path.read_bytes()
    try:
        for broken in (whole[:-20], b"", b"[]", json.dumps({"format": 2, "models": {}}).encode()):
            path.write_bytes(broken)
            with pytest.raises(ServingError, match="aliases cannot be read"):
                promote(shop, versions[1], reason="try", by=BY)
            assert path.read_bytes() == broken
    finally:
        path.write_bytes(whole)


def test_no_change_of_many_at_once_is_lost(shop: str, versions: list[str]) -> None:
    def change(turn: int) -> None:
        promote(shop, versions[turn % 3], reason=str(turn), by=BY)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(24)))
    history = read_aliases(shop).history
    assert all(later.before == earlier.after for earlier, later in pairwise(history))
    assert history[-1].after == read_aliases(shop).champion
    assert not [file for file in find_aliases_path().parent.iterdir() if file.name.startswith(".")]


_HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def hold_lock(lock: Path) -> Iterator[None]:
    """Another process has the lock."""
    command = [sys.executable, "-c", _HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate()


def test_nobody_changes_the_aliases_while_another_process_does(
    shop: str, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(shop, versions[0], reason="first", by=BY)
    promote_challenger(shop, versions[1], share=0.1, shadow=False, reason="try", by=BY)
    path = find_aliases_path()
    before = path.read_bytes()
    changes = (
        partial(promote, shop, versions[2]),
        partial(promote_challenger, shop, versions[2], share=0.1, shadow=False),
        partial(withdraw, shop),
    )
    with hold_lock(path.with_name(f"{path.name}.lock")), monkeypatch.context() as patch:
        patch.setattr("learn.registry.promotion._LOCK_SECONDS", 0.05)
        for change in changes:
            with pytest.raises(ServingError, match="Another process has locked the aliases"):
                change(reason="at the same time", by=BY)
        assert path.read_bytes() == before
    assert promote(shop, versions[2], reason="afterwards", by=BY) is not None


def test_an_unreadable_bundle_is_listed_with_what_is_wrong(shop: str, versions: list[str]) -> None:
    manifest = Path(bentoml.models.get(f"{shop}:{versions[2]}").path_of("manifest.json"))
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 1}))
    listed = {model.version: model for model in list_stored(shop)}
    assert set(listed) == set(versions)
    assert "layout is 1" in listed[versions[2]].fault
    assert not listed[versions[0]].fault


def test_who_it_was_is_a_user_at_a_machine() -> None:
    user, _, host = describe_author().partition("@")
    assert user
    assert host
