"""What the playground asks, answered by a real recommender; and the pages as they are sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from learn.registry.bundle import Bundle, read_bundle
from learn.serving.catalogue import ItemChange
from learn.serving.playground import pages
from learn.serving.playground.answers import (
    Lookups,
    answer_catalogue,
    answer_describe_items,
    answer_explain,
    answer_search_items,
)
from learn.serving.playground.schemas import (
    CatalogueRequest,
    ColumnSummary,
    DescribeItemsRequest,
    ExplainRequest,
    SearchItemsRequest,
)
from learn.serving.recommender import Recommender
from tests.serving.synthetic_model import ITEM_COUNT, BundleParts, item_id

TITLES = ["Café Aurore", "café aurore grinder", "Aurore café lamp", "Lamp", "مصباح القهوة", "STRASSE straße"]


@pytest.fixture(scope="module")
def recommender(parts: BundleParts, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    titles = [*TITLES, *parts.items["title"].to_list()[len(TITLES) :]]
    # The popular come first among ties, so their order is made plain.
    items = parts.items.with_columns(
        title=pl.Series(titles), recent_interactions=pl.Series(range(ITEM_COUNT, 0, -1), dtype=pl.Int64)
    )
    return Recommender(read_bundle(replace(parts, items=items).write(tmp_path_factory.mktemp("named") / "bundle")))


def search(recommender: Recommender, query: str, limit: int = 10) -> list[str]:
    answer = answer_search_items(recommender, Lookups(), SearchItemsRequest(query=query, limit=limit))
    assert answer.found >= len(answer.items)
    return [item.item_id for item in answer.items]


def test_what_begins_with_the_query_is_found_first_whatever_its_case_and_accents(recommender: Recommender) -> None:
    for query in ("cafe  AURORE", "CAFÉ aurore", "cafe\u0301 aurore"):
        assert search(recommender, query) == [item_id(0), item_id(1), item_id(2)]
    assert search(recommender, "aurore cafe") == [item_id(2), item_id(0), item_id(1)]


def test_every_script_is_searched_and_ids_are_too(recommender: Recommender) -> None:
    assert search(recommender, "القهوة") == [item_id(4)]
    assert search(recommender, "straße") == [item_id(5)]
    assert search(recommender, "item 1/É")[0] == item_id(1)
    assert search(recommender, "nothing of the kind") == []


def test_without_a_word_the_most_popular_items_are_found(recommender: Recommender) -> None:
    answer = answer_search_items(recommender, Lookups(), SearchItemsRequest(query="  ", limit=3))
    assert [item.item_id for item in answer.items] == [item_id(0), item_id(1), item_id(2)]
    assert answer.found == ITEM_COUNT


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.sampled_from(["made", "UP", "thing", "1", "29", "é", "item", "(", ".*"]), max_size=4))
def test_a_search_finds_what_reading_every_title_finds(words: list[str], bundle: Bundle) -> None:
    recommender = Recommender(bundle)
    answer = answer_search_items(recommender, Lookups(), SearchItemsRequest(query=" ".join(words), limit=100))
    read = [
        item["item_id"]
        for item in bundle.items.iter_rows(named=True)
        if all(
            word.lower().replace("é", "e") in f"{item['item_id']}\n{item['title']}".lower().replace("é", "e")
            for word in words
        )
    ]
    assert answer.found == len(read)
    assert {item.item_id for item in answer.items} <= set(read)


def test_items_that_come_and_go_are_found_at_once(bundle: Bundle) -> None:
    recommender, lookups = Recommender(bundle), Lookups()
    asked = SearchItemsRequest(query="zeppelin")
    assert answer_search_items(recommender, lookups, asked).found == 0
    row = recommender.catalogue.vectors.take(np.array([3]))[0]
    read = recommender.catalogue.inputs.take(np.array([3]))[0]
    recommender.change_items([ItemChange("new", {"title": "Zeppelin", "brand": "Luft"}, read, row)])
    assert [item.columns for item in answer_search_items(recommender, lookups, asked).items] == [{"brand": "Luft"}]
    recommender.change_items([ItemChange("new", None)])
    assert answer_search_items(recommender, lookups, asked).found == 0


def test_items_are_described_by_what_they_hold(bundle: Bundle) -> None:
    asked = DescribeItemsRequest(item_ids=[item_id(0), "nobody", item_id(3), item_id(0)])
    answer = answer_describe_items(Recommender(bundle), Lookups(), asked)
    first, second = answer.items
    assert (first.item_id, first.title, second.title) == (item_id(0), None, "Made-up thing 3")
    assert "brand" not in first.columns
    assert second.columns["price"] == 0.75
    assert second.columns["category"] == ["things", "shelf 0"]
    assert second.columns["in_stock"] is True
    assert answer.unknown_items == ["nobody"]


def columns_of(recommender: Recommender, *, values: int) -> dict[str, ColumnSummary]:
    answer = answer_catalogue(recommender, Lookups(), CatalogueRequest(values=values), max_k=100)
    return {column.name: column for column in answer.columns}


def test_columns_come_with_their_commonest_values(bundle: Bundle) -> None:
    columns = columns_of(Recommender(bundle), values=3)
    assert {"item_id", "title", "description"}.isdisjoint(columns)
    brands = bundle.items["brand"].drop_nulls().value_counts(sort=True)
    assert [value.items for value in columns["brand"].values] == brands["count"].head(3).to_list()
    assert (columns["brand"].distinct, columns["brand"].items) == (5, brands["count"].sum())
    commonest = columns["category"].values[0]
    assert (commonest.value, commonest.items) == ("things", ITEM_COUNT // 2)
    assert {value.value for value in columns["in_stock"].values} == {True, False}
    price = columns["price"]
    assert (price.kind, price.values, price.minimum, price.maximum) == ("number", [], 0.25, 298 / 4)


def test_counts_are_those_that_a_filter_leaves(bundle: Bundle) -> None:
    recommender = Recommender(bundle)
    recommender.change_items([ItemChange(item_id(row), None) for row in (1, 2, 6)])
    for value in columns_of(recommender, values=200)["brand"].values:
        left = bundle.items.filter(pl.col("brand") == value.value)["item_id"].is_in(
            [item_id(1), item_id(2), item_id(6)]
        )
        assert value.items == (~left).sum()


def test_a_recommendation_is_explained_by_the_nearest_of_the_history(bundle: Bundle) -> None:
    history = [item_id(row) for row in (5, 17, 40, 17, 5)]
    asked = ExplainRequest(history=["nobody", *history], item_ids=[item_id(90), "nothing", item_id(40)], nearest=2)
    answer = answer_explain(Recommender(bundle), asked)
    assert [each.item_id for each in answer.explanations] == [item_id(90), item_id(40)]
    units = bundle.item_vectors / np.linalg.norm(bundle.item_vectors, axis=1, keepdims=True)
    expected = sorted({row: float(units[row] @ units[90]) for row in (5, 17, 40)}.items(), key=lambda found: -found[1])
    found = [(near.item_id, near.similarity) for near in answer.explanations[0].nearest]
    assert [each for each, _ in found] == [item_id(row) for row, _ in expected[:2]]
    assert [cosine for _, cosine in found] == pytest.approx([cosine for _, cosine in expected[:2]], abs=1e-5)
    assert answer.unknown_items == ["nobody", "nothing"]
    assert answer.history_read == len(history)


def test_an_item_does_not_explain_itself_and_what_is_not_read_explains_nothing(bundle: Bundle) -> None:
    recommender = Recommender(bundle)
    longest = bundle.towers.settings.max_history
    history = [item_id(200), *(item_id(row) for row in range(longest))]
    asked = ExplainRequest(history=history, item_ids=[item_id(3), item_id(200)], nearest=10)
    answer = answer_explain(recommender, asked)
    assert answer.history_read == longest
    near = [{found.item_id for found in each.nearest} for each in answer.explanations]
    assert item_id(3) not in near[0]
    assert item_id(200) not in near[0] | near[1]
    assert answer_explain(recommender, ExplainRequest(history=[], item_ids=[item_id(3)])).explanations[0].nearest == []


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(pages.build_page_app()) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/api"])
def test_a_page_names_only_files_that_are_there_and_no_inline_code(path: str, client: TestClient) -> None:
    page = client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"\son\w+=|<style|\sstyle=|https?:|<script(?![^>]*\ssrc=)", page.text)
    named = re.findall(r'(?:src|href)="(playground/[^"]+)"', page.text)
    assert named
    assert all(client.get(f"/{name}").status_code == 200 for name in named)


def test_every_module_is_there_and_every_file_is_sent(client: TestClient) -> None:
    folder = Path(pages.__file__).parent / "page"
    files = pages.read_page_files()
    assert {file.name for file in folder.iterdir()} <= set(files)
    for name, content in files.items():
        reply = client.get(f"/playground/{name}")
        assert (reply.status_code, reply.content) == (200, content)
        for module in re.findall(r'from "\./([^"]+)"', reply.text):
            assert module in files


@pytest.mark.parametrize(
    "path",
    ["/playground/", "/playground/pages.py", "/playground/..%2fpages.py", "/playground//etc/passwd", "/nowhere"],
)
def test_no_path_reaches_the_file_system(path: str, client: TestClient) -> None:
    assert client.get(path).status_code == 404


def test_bentomls_own_files_are_closed(client: TestClient) -> None:
    assert client.get("/static_content/index.css").status_code == 404


def test_no_page_holds_an_address_elsewhere() -> None:
    own = {name: text.decode() for name, text in pages.read_page_files().items() if not name.startswith("swagger")}
    found = {name: re.findall(r"https?://[^\s\"'<>]+", text) for name, text in own.items()}
    assert {address for addresses in found.values() for address in addresses} == {"http://www.w3.org/2000/svg"}
    assert not any(
        re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text) for text in own.values()
    )
