from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learn.errors import EncoderError, RequestError, StoreError
from learn.registry.bundle import Bundle, read_bundle
from learn.serving.catalogue import AnyOf
from learn.serving.filters import Filters, Selection
from learn.serving.live_items import FILE, ItemPatch, ItemStore, LiveItems
from learn.serving.recommender import Recommender
from tests.content.tiny_models import save_bert
from tests.serving.readable_model import TRAINED, UNTRAINED, readable_parts, title_of
from tests.serving.synthetic_model import BundleParts

COUNT = TRAINED + UNTRAINED
# One letter is another one.
NEW_TITLE = title_of(5)[:-1] + ("a" if title_of(5)[-1] != "a" else "b")
NEW = ItemPatch("new", {"title": NEW_TITLE, "shelf": "s9"})


@pytest.fixture(scope="session")
def readable(tmp_path_factory: pytest.TempPathFactory) -> BundleParts:
    return readable_parts(tmp_path_factory.mktemp("readable") / "encoder")


@pytest.fixture(scope="session")
def readable_bundle(readable: BundleParts, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(readable.write(tmp_path_factory.mktemp("readable") / "bundle"))


def started(folder: Path, bundle: Bundle) -> tuple[LiveItems, Recommender]:
    """What a service holds after its start."""
    live, recommender = LiveItems(ItemStore(folder)), Recommender(bundle)
    live.attach(recommender)
    return live, recommender


def recommended(recommender: Recommender, history: list[str], k: int = 10) -> list[str]:
    return [item.item_id for item in recommender.recommend(history, k=k).items]


def test_a_new_item_is_recommended_at_once_to_users_who_chose_items_like_it(
    readable_bundle: Bundle, tmp_path: Path
) -> None:
    live, recommender = started(tmp_path, readable_bundle)
    before = recommended(recommender, ["i5"])
    live.upsert([NEW])
    assert recommended(recommender, ["i5"])[0] == "new"
    assert recommended(recommender, ["i5"])[1:] == before[:-1]
    assert recommended(recommender, ["new"])[0] == "i5"
    to_others = [recommended(recommender, [f"i{row}"], k=3) for row in range(20, 60)]
    assert sum("new" in found for found in to_others) < 10
    assert recommender.find_similar_items("i5", k=1).items[0].title == NEW_TITLE


def test_a_new_item_is_read_as_an_item_that_was_never_trained_on(
    readable: BundleParts, readable_bundle: Bundle, tmp_path: Path
) -> None:
    live, recommender = started(tmp_path, readable_bundle)
    live.upsert([ItemPatch("twin", {"title": title_of(TRAINED + 2)}), ItemPatch("half", {"title": title_of(3)})])
    found, _ = recommender.encode_items(["twin", "half"])
    np.testing.assert_allclose(found[0], readable.item_vectors[TRAINED + 2], atol=1e-3)
    assert not np.allclose(found[1], readable.item_vectors[3], atol=1e-2)


def test_a_new_item_of_a_model_with_field_vectors_is_read_field_by_field(tmp_path: Path) -> None:
    parts = readable_parts(tmp_path / "encoder", field_vectors=("title", "brand"))
    live, recommender = started(tmp_path / "state", read_bundle(parts.write(tmp_path / "bundle")))
    live.upsert([ItemPatch("twin", {"title": title_of(TRAINED + 2)}), NEW])
    found, _ = recommender.encode_items(["twin"])
    np.testing.assert_allclose(found[0], parts.item_vectors[TRAINED + 2], atol=1e-3)
    assert recommended(recommender, ["i5"])[0] == "new"
    with pytest.raises(RequestError, match="a text for the encoder"):
        live.upsert([ItemPatch("mute", {"shelf": "s1"})])
    free_text = live.find_encoder(recommender).encode(["a text of a visitor", "one\x1fwith\x1fmany\x1fseparators"])
    np.testing.assert_allclose(np.linalg.norm(free_text, axis=1), 1, atol=1e-5)


def test_run_time_items_outlive_a_restart(readable_bundle: Bundle, tmp_path: Path) -> None:
    live, recommender = started(tmp_path, readable_bundle)
    live.upsert([NEW, ItemPatch("i7", {"shelf": "s9"})])
    live.delete(["i8", "i9"])
    live.upsert([ItemPatch("i9", {"shelf": "s0"})])
    _, again = started(tmp_path, readable_bundle)
    assert set(again.catalogue.rows) == set(recommender.catalogue.rows) == {*readable_bundle.item_ids, "new"} - {"i8"}
    for history in (["i5"], ["new", "i3"], []):
        assert recommended(again, history, k=COUNT) == recommended(recommender, history, k=COUNT)
    on_s9 = Filters(include_only=Selection(columns={"shelf": AnyOf(("s9",))}))
    assert {item.item_id for item in again.recommend([], k=9, filters=on_s9).items} == {"i7", "new"}


def test_a_later_model_takes_up_the_items_with_its_own_towers(
    readable: BundleParts, readable_bundle: Bundle, tmp_path: Path
) -> None:
    live, old = started(tmp_path / "state", readable_bundle)
    live.upsert([NEW])
    live.delete(["i8"])
    encoder = Path(readable.manifest.settings.content.encoder)
    parts = readable_parts(encoder, seed=1, data_version="later")
    new = Recommender(read_bundle(parts.write(tmp_path / "later")))
    live.attach(new)
    assert recommended(new, ["i5"])[0] == "new"
    assert "i8" not in new.catalogue.rows
    assert not np.allclose(new.encode_items(["new"])[0], old.encode_items(["new"])[0])
    live.upsert([ItemPatch("newer", {"title": title_of(6)})])
    assert {"newer", "new"} <= old.catalogue.rows.keys() & new.catalogue.rows.keys()


def test_a_later_model_with_another_encoder_reads_the_items_anew(readable_bundle: Bundle, tmp_path: Path) -> None:
    live, _ = started(tmp_path / "state", readable_bundle)
    live.upsert([NEW])
    another = readable_parts(save_bert(tmp_path / "another", seed=5))
    new = Recommender(read_bundle(another.write(tmp_path / "later")))
    live.attach(new)
    assert recommended(new, ["i5"])[0] == "new"


def test_a_change_that_is_not_in_the_text_keeps_the_vector(readable_bundle: Bundle, tmp_path: Path) -> None:
    live, recommender = started(tmp_path, readable_bundle)
    before, _ = recommender.encode_items(["i7"])
    live.upsert([ItemPatch("i7", {"shelf": "s9", "in_stock": True})])
    np.testing.assert_array_equal(recommender.encode_items(["i7"])[0], before)
    in_stock = Filters(include_only=Selection(columns={"in_stock": AnyOf((True,))}))
    assert [item.item_id for item in recommender.recommend(["i1"], k=5, filters=in_stock).items] == ["i7"]
    live.upsert([ItemPatch("i7", {"title": title_of(50)})])
    assert not np.allclose(recommender.encode_items(["i7"])[0], before)
    live.upsert([ItemPatch("i7", {"title": title_of(7)})])
    np.testing.assert_array_equal(recommender.encode_items(["i7"])[0], before)
    assert len(recommender.catalogue) == COUNT
    assert recommended(recommender, [], k=COUNT).count("i7") == 1


def test_a_deleted_item_is_neither_recommended_nor_read(readable_bundle: Bundle, tmp_path: Path) -> None:
    live, recommender = started(tmp_path, readable_bundle)
    live.upsert([NEW])
    live.delete(["new", "i5"])
    assert not {"new", "i5"} & set(recommended(recommender, ["i3"], k=COUNT))
    assert not {"new", "i5"} & set(recommended(recommender, [], k=COUNT))
    assert recommender.recommend(["i5"], k=3).fallback == "no_known_item"


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        (ItemPatch("new", {"shelf": "s1"}), "needs a text"),
        (ItemPatch("new", {"title": "a b", "shelf": 4}), "another kind"),
        (ItemPatch("i4", {"title": 4}), "must be a text"),
        (ItemPatch("new", {"title": "a b", "recent_interactions": 10**6}), "cannot be set"),
    ],
)
def test_a_wrong_item_is_refused_and_nothing_is_changed(
    patch: ItemPatch, said: str, readable_bundle: Bundle, tmp_path: Path
) -> None:
    live, recommender = started(tmp_path, readable_bundle)
    with pytest.raises(RequestError, match=said):
        live.upsert([NEW, patch])
    assert "new" not in recommender.catalogue.rows
    assert ItemStore(tmp_path).read_all_patches() == []


def test_another_encoder_in_the_place_of_the_bundles_is_refused(readable: BundleParts, tmp_path: Path) -> None:
    manifest = readable.manifest.model_copy(update={"encoder_fingerprint": "0" * 64})
    bundle = read_bundle(replace(readable, manifest=manifest).write(tmp_path / "bundle"))
    live, recommender = started(tmp_path / "state", bundle)
    with pytest.raises(EncoderError, match="is not the one that read"):
        live.upsert([NEW])
    assert "new" not in recommender.catalogue.rows
    live.upsert([ItemPatch("i3", {"shelf": "s9"})])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="cannot be used") as refused:
        ItemStore(tmp_path)
    assert str(tmp_path / FILE) in str(refused.value)


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="another layout"):
        ItemStore(tmp_path)


def test_many_threads_may_change_and_ask_at_once(readable_bundle: Bundle, tmp_path: Path) -> None:
    live, recommender = started(tmp_path, readable_bundle)

    def work(number: int) -> None:
        live.upsert([ItemPatch(f"n{number}", {"title": f"{title_of(number)} a"})])
        live.find_encoder(recommender).encode([title_of(number)])
        for _ in range(20):
            assert len(recommended(recommender, [f"n{number}", "i3"], k=10)) == 10
        if number % 2:
            live.delete([f"n{number}"])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(12)))
    assert len(recommender.catalogue) == COUNT + 6
    assert recommender.catalogue.rows.keys() >= {f"n{number}" for number in range(0, 12, 2)}
