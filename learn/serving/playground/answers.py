"""From what the page asks to what it is answered."""

from __future__ import annotations

from learn.serving.playground.column_values import summarised
from learn.serving.playground.lookup import CatalogueLookup, Lookups, known_rows
from learn.serving.playground.messages import (
    CatalogueRequest,
    CatalogueResponse,
    DescribedItem,
    DescribeItemsRequest,
    DescribeItemsResponse,
    ExplainRequest,
    ExplainResponse,
    Explanation,
    NearItem,
    SearchItemsRequest,
    SearchItemsResponse,
)
from learn.serving.playground.nearest import nearest_items
from learn.serving.recommender import Recommender


def found_items(recommender: Recommender, lookups: Lookups, request: SearchItemsRequest) -> SearchItemsResponse:
    """Answer `search_items`."""
    lookup = lookups.of(recommender.catalogue)
    found = lookup.search(request.query, limit=request.limit)
    return SearchItemsResponse(
        items=[_described(lookup, row) for row in found.rows],
        found=found.count,
        model_version=recommender.version,
    )


def described_items(recommender: Recommender, lookups: Lookups, request: DescribeItemsRequest) -> DescribeItemsResponse:
    """Answer `describe_items`."""
    lookup = lookups.of(recommender.catalogue)
    known, unknown = known_rows(lookup.catalogue, request.item_ids)
    return DescribeItemsResponse(
        items=[_described(lookup, row) for row in known.values()],
        unknown_items=unknown,
        model_version=recommender.version,
    )


def catalogue_summary(
    recommender: Recommender, lookups: Lookups, request: CatalogueRequest, *, max_k: int
) -> CatalogueResponse:
    """Answer `catalogue`."""
    lookup = lookups.of(recommender.catalogue)
    return CatalogueResponse(
        items=len(lookup.catalogue),
        columns=summarised(lookup.catalogue.columns, lookup.live_rows, values=request.values),
        max_k=max_k,
        model_version=recommender.version,
    )


def explained_items(recommender: Recommender, request: ExplainRequest) -> ExplainResponse:
    """Answer `explain`."""
    catalogue = recommender.catalogue
    known, unknown = known_rows(catalogue, request.item_ids)
    rows = [catalogue.rows[item_id] for item_id in request.history if item_id in catalogue.rows]
    # What the user tower does not read explains nothing.
    read = rows[-recommender.bundle.towers.settings.max_history :]
    found = nearest_items(catalogue, list(known.values()), read, nearest=request.nearest)
    missing = known_rows(catalogue, request.history)[1]
    return ExplainResponse(
        explanations=[
            Explanation(
                item_id=item_id,
                nearest=[
                    NearItem(item_id=catalogue.ids[row], title=catalogue.titles[row], similarity=cosine)
                    for row, cosine in near
                ],
            )
            for item_id, near in zip(known, found, strict=True)
        ],
        history_read=len(read),
        unknown_items=list(dict.fromkeys([*missing, *unknown])),
        model_version=recommender.version,
    )


def _described(lookup: CatalogueLookup, row: int) -> DescribedItem:
    catalogue = lookup.catalogue
    return DescribedItem(item_id=catalogue.ids[row], title=catalogue.titles[row], columns=lookup.cells(row))
