"""Cards and the page of a run: whole, escaped, and in no need of a network."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from learn.config.settings import Settings
from learn.errors import StorageError
from learn.report.cards import show_drift, show_evaluation, show_training, show_validation, write_index
from tests.small_disk import small_disk
from tests.synthetic_run import (
    made_up_drift,
    made_up_map,
    made_up_metrics,
    made_up_result,
    made_up_training,
    made_up_trend,
)

SPITEFUL = "<img src=x onerror=alert(1)>"


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run over spiteful data."""
    folder = tmp_path_factory.mktemp("run")
    result = made_up_result(folder=folder, name=f"folder {SPITEFUL}", example=SPITEFUL)
    return write_index(result, folder / "deep" / "index.html", settings=Settings())


def parts(card: list[Any], kind: str) -> list[Any]:
    return [part for part in card if type(part).__name__ == kind]


def test_the_page_ties_the_reports_together(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {attributes.get("href") for tag, attributes in _Tags(text).tags if tag == "a"}
    assert {"evaluation.html", "validation.html", "drift.html", "metrics.json"} <= links
    for expected in ("Not fit to serve", "0.2000", "serve it", "ab" * 32, "learn_user_tower:x", "98 of 100"):
        assert expected in text
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]


def test_the_page_needs_no_network(page: Path) -> None:
    tags = _Tags(page.read_text(encoding="utf-8")).tags
    assert not {"script", "link", "img", "iframe", "image"} & {tag for tag, _ in tags}
    addresses = [
        value for _, attributes in tags for name, value in attributes.items() if name.endswith(("src", "href"))
    ]
    assert not [address for address in addresses if "//" in (address or "")]


def test_nothing_of_the_data_becomes_markup(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert SPITEFUL not in text
    assert "&lt;img src=x" in text


def test_a_page_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes=4) as disk:
        with pytest.raises(StorageError, match="No space is left"):
            write_index(made_up_result(folder=tmp_path), disk / "reports" / "index.html", settings=Settings())
        assert list(disk.iterdir()) == []


def test_the_card_of_validation_shows_counts_and_examples(tmp_path: Path) -> None:
    card: list[Any] = []
    show_validation(card, made_up_result(folder=tmp_path, example=SPITEFUL).validation)
    tables = [json.dumps(part.render()) for part in parts(card, "Table")]
    assert len(tables) == 2
    assert "3 (3.00%)" in tables[0]
    assert "title_placeholder" not in tables[1]
    assert tables[1].count("Title is a name") == 2
    assert len(parts(card, "Image")) == 1


def test_the_card_of_sound_data_has_no_examples(tmp_path: Path) -> None:
    card: list[Any] = []
    sound = made_up_result(folder=tmp_path).validation
    show_validation(card, dataclasses.replace(sound, items=sound.interactions))
    assert len(parts(card, "Table")) == 1


def test_the_other_cards_have_their_pictures(tmp_path: Path) -> None:
    cards: list[list[Any]] = [[], [], []]
    show_training(cards[0], made_up_training(tmp_path, reused=True))
    show_evaluation(cards[1], made_up_metrics())
    show_drift(cards[2], made_up_drift(tmp_path), settings=Settings())
    assert [len(parts(card, "Image")) for card in cards] == [1, 9, 1]
    said = " ".join(part.render()["source"] for card in cards for part in parts(card, "Markdown"))
    assert "earlier run" in said
    assert "ab" * 32 in said
    assert "Drift in 1 of 2 columns" in said
    assert "+0.0200 [+0.0100, +0.0300] against the model in production" in said


def test_the_drift_card_shows_the_course_over_runs_and_the_map_where_there_are_any(tmp_path: Path) -> None:
    card: list[Any] = []
    show_drift(card, made_up_drift(tmp_path), settings=Settings(), trend=made_up_trend(), places=made_up_map())
    assert len(parts(card, "Image")) == 3
    said = " ".join(part.render()["source"] for part in parts(card, "Markdown"))
    assert "The last 8 runs" in said
    alone: list[Any] = []
    show_drift(alone, made_up_drift(tmp_path), settings=Settings(), trend=made_up_trend(runs=1))
    assert len(parts(alone, "Image")) == 1


def test_what_speaks_against_the_comparison_with_production_is_said_wherever_it_is_shown(tmp_path: Path) -> None:
    metrics = made_up_metrics(caveat="It has seen answers.")
    result = dataclasses.replace(made_up_result(folder=tmp_path), metrics=metrics)
    page = write_index(result, tmp_path / "index.html", settings=Settings())
    card: list[Any] = []
    show_evaluation(card, metrics)
    said = " ".join(part.render()["source"] for part in parts(card, "Markdown"))
    for text in (page.read_text(encoding="utf-8"), said, result.format_closing_lines(page)):
        assert "It has seen answers." in text


def test_a_run_without_a_model_in_production_says_nothing_of_one(tmp_path: Path) -> None:
    result = dataclasses.replace(made_up_result(folder=tmp_path), metrics=made_up_metrics(production=False))
    page = write_index(result, tmp_path / "index.html", settings=Settings())
    assert "in production" not in page.read_text(encoding="utf-8")
