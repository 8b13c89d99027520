"""The page of an evaluation: whole, in no need of a network, masked and unmasked apart, and open about caveats."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from learn.report.pages import write_evaluation_page
from tests.synthetic_run import MODELS, made_up_metrics, made_up_result

CAVEAT = "It was trained on interactions up to <b>1970</b>."


class Page(HTMLParser):
    """Tags, and the text of the tables below each second heading."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, list[str]] = {}
        self._heading, self._inside = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("h2", "table", "summary"):
            self._inside = tag
        if tag == "table":
            self.sections[self._heading].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h2", "table", "summary"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("h2", "summary") and data.startswith("History"):
            self._heading = f"{data}{len(self.sections)}"
            self.sections[self._heading] = []
        elif self._inside == "table":
            self.sections[self._heading][-1] += data


def written(folder: Path, *, production: bool = True, caveat: str = "") -> str:
    metrics = made_up_metrics(production=production, caveat=caveat)
    for masking, factor in (("masked", 1.0), ("unmasked", 0.5)):
        for model, at in MODELS.items():
            if model in metrics["test"]:
                metrics["test"][model][masking] = dict.fromkeys(metrics["test"][model][masking], factor * at)
    split = made_up_result(folder=folder).split
    page = write_evaluation_page(metrics, folder / "evaluation.html", run_id="17", split=split)
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page with a model in production; drawing it takes seconds, so the tests share it."""
    return written(tmp_path_factory.mktemp("page"))


def test_the_page_needs_no_network_and_leads_back(text: str) -> None:
    tags = Page(text).tags
    assert not {"script", "link", "img", "iframe", "image"} & {tag for tag, _ in tags}
    links = {attributes.get("href") for tag, attributes in tags if tag == "a"}
    assert links == {"index.html", "metrics.json"}


def test_every_figure_stands_in_a_table(text: str) -> None:
    page = Page(text)
    masked, unmasked, *_ = page.sections.values()
    for model, at in MODELS.items():
        assert any(model.replace("_", " ") in table and f"{at:.4f}" in table for table in masked)
        assert any(model.replace("_", " ") in table and f"{at / 2:.4f}" in table for table in unmasked)
    assert any("-1.000" not in table and "13.500" in table for table in masked)
    assert any("+0.0200" in table and "+0.0100 to +0.0300" in table for table in masked)


def test_masked_and_unmasked_figures_never_share_a_table_or_a_picture(text: str) -> None:
    masked, unmasked, *_ = Page(text).sections.values()
    # EASE's unmasked figure is nobody's masked one.
    assert any(f"{MODELS['ease'] / 2:.4f}" in table for table in unmasked)
    assert not any(f"{MODELS['ease'] / 2:.4f}" in table for table in masked)
    labels = [attributes["aria-label"] or "" for tag, attributes in Page(text).tags if tag == "svg"]
    assert len(labels) == 2 * (2 * 4 + 1)
    assert all(("history masked" in label) != ("history unmasked" in label) for label in labels)


def test_the_difference_to_production_is_said_with_its_interval(text: str) -> None:
    assert "NDCG@10 +0.0200 [+0.0100, +0.0300] against the model in production, version 0123456789abcdef (" in text
    assert "Of the 90 items it was trained on 80" in text
    assert "Not a fair comparison" not in text


def test_what_speaks_against_the_comparison_stands_beside_it(tmp_path: Path) -> None:
    text = written(tmp_path, caveat=CAVEAT)
    assert re.search(r"Not a fair comparison\.</b> It was trained on interactions up to &lt;b&gt;1970", text)


def test_without_a_model_in_production_the_page_says_how_to_name_one(tmp_path: Path) -> None:
    text = written(tmp_path, production=False)
    assert "--production latest" in text
    assert "version 0123456789abcdef" not in text


def test_an_empty_slice_is_named_and_has_no_figures(text: str) -> None:
    after = text[text.index("new users, 0 users") :]
    assert re.match(r'new users, 0 users</th></tr>\s*(<tr class="group">|</table>)', after)
