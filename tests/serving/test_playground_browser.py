"""The served playground in a real Chromium, without a mouse wherever a person could be without one."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, Route, expect, sync_playwright

from learn.registry.store import store_bundle
from learn.serving.package import build_bento
from learn.serving.parity import run_service
from tests.serving.playground_page import PATIENCE_MILLISECONDS, add, found, opened, results, settled, tab_to
from tests.serving.synthetic_model import BundleParts, item_id

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MARKUP = '<img src=x onerror="document.title=\'broken\'"><b>Bold</b> & "quoted"'
HEBREW = "שולחן עץ אלון, 120 ס״מ (חדש)"
LONG = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 12
AWKWARD = {1: MARKUP, 2: HEBREW, 3: LONG, 4: "Oak bookshelf", 5: "Oak bookshelf, tall", 8: "Oak stool"}
_START_SECONDS = 300.0
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


@pytest.fixture(scope="module")
def address(parts: BundleParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    titles = [AWKWARD.get(row, title) for row, title in enumerate(parts.items["title"])]
    awkward = replace(parts, items=parts.items.with_columns(title=pl.Series(titles)))
    folder = awkward.write(tmp_path_factory.mktemp("awkward") / "bundle")
    bento = build_bento(model_tag=store_bundle(folder, name="learn_playground"))
    with run_service(bento, start_seconds=_START_SECONDS) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install Debian's `chromium`, or any Chrome")
    switches = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
    # Chromium's own sandbox refuses root, which containers run as.
    sandbox = os.geteuid() != 0
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=switches, chromium_sandbox=sandbox)
        yield browser
        browser.close()


def test_a_history_is_made_and_filtered_with_the_keyboard_alone(browser: Browser, address: str) -> None:
    with opened(browser, address) as (page, _):
        settled(page)
        expect(page.get_by_text("Fallback.")).to_be_visible()
        tab_to(page, page.get_by_role("combobox", name="Add an item"))
        page.keyboard.type("oak shelf")
        options = found(page)
        expect(options).to_have_count(2)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.keyboard.type("oak stool")
        expect(options).to_have_count(1)
        page.keyboard.press("Enter")
        history = page.get_by_role("list", name="History, newest last").get_by_role("listitem")
        expect(history).to_have_count(2)
        expect(history.nth(1)).to_contain_text("Oak stool")
        expect(page.get_by_text("Fallback.")).to_have_count(0)
        settled(page)
        expect(results(page)).to_have_count(10)
        # Why: every row names the nearest of the history.
        expect(results(page).first.locator(".near")).to_have_count(2)
        tab_to(page, page.locator("summary", has_text="brand"))
        page.keyboard.press("Enter")
        only = page.get_by_role("button", name="Only brand: brand 1", exact=True)
        tab_to(page, only)
        page.keyboard.press("Space")
        expect(only).to_have_attribute("aria-pressed", "true")
        expect(only).to_be_focused()
        settled(page)
        expect(page.get_by_role("button", name="Remove the filter: Only brand: brand 1")).to_be_visible()
        ids = results(page).evaluate_all("rows => rows.map((row) => row.dataset.id)")
        assert len(ids) == 10
        assert {int(re.findall(r"\d+", each)[0]) % 5 for each in ids} == {1}


def test_the_history_is_put_in_order_and_the_focus_stays(browser: Browser, address: str) -> None:
    with opened(browser, address) as (page, _):
        for query in ("oak stool", "oak bookshelf, tall", item_id(20)):
            add(page, query)
        rows = page.locator("#history > li")
        expect(rows).to_have_count(3)
        up = page.get_by_role("button", name="Move to older: Made-up thing 20")
        up.focus()
        page.keyboard.press("Enter")
        expect(rows.nth(1)).to_contain_text("Made-up thing 20")
        expect(up).to_be_focused()
        settled(page)
        expect(up).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Move to newer: Made-up thing 20")).to_be_focused()
        page.get_by_role("button", name="Remove: Oak stool").focus()
        page.keyboard.press("Enter")
        expect(rows).to_have_count(2)
        expect(page.get_by_role("button", name="Remove: Oak bookshelf, tall")).to_be_focused()
        assert page.evaluate("new URLSearchParams(location.hash.slice(1)).getAll('h')") == [item_id(20), item_id(5)]
        page.go_back()
        expect(rows).to_have_count(3)


def test_a_shared_link_shows_the_same_view(browser: Browser, address: str) -> None:
    fragment = (
        "#h=item+8%2F%C3%A9&h=nobody&k=7&diversity=0.4&cap=%5B%22brand%22%2C2%5D&not=%5B%22in_stock%22%2C%5Bfalse%5D%5D"
    )
    with opened(browser, address, path=f"/{fragment}") as (page, _):
        settled(page)
        expect(page.locator("#history > li")).to_have_count(2)
        expect(page.locator("#history > li").nth(1)).to_contain_text("unknown")
        expect(page.get_by_text("Unknown items were ignored:")).to_be_visible()
        expect(page.get_by_label("Length")).to_have_value("7")
        expect(page.get_by_label("Diversity")).to_have_value("0.4")
        expect(page.get_by_label("Cap", exact=True)).to_have_value("brand")
        expect(page.get_by_role("button", name="Remove the filter: Not in_stock: no")).to_be_visible()
        expect(results(page)).to_have_count(7)
        first = results(page).all_inner_texts()
        page.reload()
        settled(page)
        assert [text.split("\n")[:3] for text in results(page).all_inner_texts()] == [
            text.split("\n")[:3] for text in first
        ]


@pytest.mark.parametrize(
    "fragment", ["#k=NaN&cap=%5B1%5D&only=x&not=%7B%7D&similar=", "#%E0%A4%A&h=", "#only=%5B%22none%22%2C%5B1%5D%5D"]
)
def test_a_broken_link_breaks_nothing(fragment: str, browser: Browser, address: str) -> None:
    with opened(browser, address, path=f"/{fragment}") as (page, watch):
        settled(page)
        if "none" in fragment:
            expect(page.get_by_role("alert")).to_contain_text("no column")
            # The browser notes the refusal by itself.
            watch.said.clear()
        else:
            expect(results(page)).to_have_count(10)


def test_titles_are_text_whatever_they_hold(browser: Browser, address: str) -> None:
    for width in (360, 1280):
        with opened(browser, address, width=width) as (page, _):
            add(page, "bold")
            add(page, "שולחן")
            add(page, LONG[:30])
            rows = page.locator("#history > li")
            expect(rows).to_have_count(3)
            expect(rows.nth(0).locator(".title")).to_have_text(MARKUP)
            settled(page)
            assert page.locator("#history img, #history b").count() == 0
            assert page.title() == "Playground: LEARN"
            assert rows.nth(1).locator(".title").evaluate("each => getComputedStyle(each).direction") == "rtl"
            # Two lines at most.
            assert rows.nth(2).locator(".title").evaluate("each => each.clientHeight") < 60
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            # An item without a title goes by its id.
            add(page, item_id(7))
            expect(rows.nth(3).locator(".title")).to_have_text(item_id(7))


@pytest.mark.parametrize("width", [360, 768, 1024])
def test_nothing_is_wider_than_the_screen(width: int, browser: Browser, address: str, tmp_path: Path) -> None:
    fragment = f"/#h=item+3%2F%C3%A9&h=item+2%2F%C3%A9&h={'nobody' * 20}&seen=yes&k=50&similar=item+3%2F%C3%A9"
    with opened(browser, address, path=fragment, width=width) as (page, _):
        settled(page)
        expect(page.get_by_role("dialog").locator("li")).to_have_count(20)
        assert page.get_by_role("dialog").evaluate("each => each.scrollWidth <= each.clientWidth")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.locator("#tuning > summary").click() if not page.locator("#k").is_visible() else None
        closed = page.locator("details.column:not([open]) > summary")
        for _ in range(closed.count()):
            closed.first.click()
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_similar_items_are_walked_through_and_back(browser: Browser, address: str) -> None:
    with opened(browser, address) as (page, _):
        settled(page)
        button = results(page).nth(2).get_by_role("button", name="Similar items")
        title = results(page).nth(2).locator(".title").inner_text()
        tab_to(page, button)
        page.keyboard.press("Enter")
        sheet = page.get_by_role("dialog", name="Similar items")
        expect(sheet.locator("#similar-item")).to_contain_text(title)
        expect(sheet.locator("li")).to_have_count(20)
        second = sheet.locator("li .title").nth(1).inner_text()
        sheet.locator("li").nth(1).get_by_role("button", name="Similar items").press("Enter")
        expect(sheet.locator("#similar-item")).to_contain_text(second)
        sheet.get_by_role("button", name="Back").press("Enter")
        expect(sheet.locator("#similar-item")).to_contain_text(title)
        sheet.locator("li").first.get_by_role("button", name="Add to the history").press("Enter")
        page.keyboard.press("Escape")
        expect(sheet).to_have_count(0)
        expect(page.locator("#history > li")).to_have_count(1)
        assert "similar" not in page.evaluate("location.hash")


def test_sliders_caps_and_ranges_reach_the_service(browser: Browser, address: str) -> None:
    with opened(browser, address, path="/#h=item+8%2F%C3%A9") as (page, _):
        settled(page)
        bodies: list[dict[str, object]] = []
        page.on(
            "request",
            lambda each: bodies.append(json.loads(each.post_data or "{}")) if each.url.endswith("/recommend") else None,
        )
        page.get_by_label("Diversity").press("ArrowRight")
        page.get_by_label("Length").press("ArrowRight")
        page.get_by_label("Cap", exact=True).select_option("brand")
        page.get_by_label("Items of one value at most").press("ArrowRight")
        page.locator("summary", has_text="price").click()
        page.get_by_label("price from").fill("10")
        page.get_by_label("price to").fill("5")
        expect(page.get_by_label("price to")).to_have_attribute("aria-invalid", "true")
        page.get_by_label("price to").fill("20")
        expect(page.get_by_role("button", name="Remove the filter: Only price: 10 to 20")).to_be_visible()
        expect(results(page)).to_have_count(11)
        settled(page)
        last = bodies[-1]
        assert (last["diversity"], last["k"], last["caps"]) == (0.05, 11, [{"column": "brand", "at_most": 3}])
        assert last["include_only"] == {"columns": {"price": {"min": 10, "max": 20}}}
        page.get_by_role("button", name="Remove the filter: Only price: 10 to 20").press("Enter")
        expect(page.get_by_label("price from")).to_have_value("")


def test_trouble_is_told_and_can_be_tried_again(browser: Browser, address: str) -> None:
    with opened(browser, address) as (page, watch):
        settled(page)

        def busy(route: Route) -> None:
            route.fulfill(status=503, content_type="application/json", body='{"error": "full"}')

        for asked in ("**/recommend", "**/search_items", "**/explain"):
            page.route(asked, busy)
        page.get_by_label("Length").press("ArrowRight")
        expect(page.get_by_role("alert")).to_contain_text("The service is busy.")
        page.get_by_role("combobox", name="Add an item").fill("oak")
        expect(page.locator("#search-state")).to_contain_text("The service is busy.")
        page.unroute("**/search_items")
        page.unroute("**/recommend")
        page.get_by_role("button", name="Try again").press("Enter")
        expect(results(page)).to_have_count(11)
        # Without the reasons the list still stands.
        add(page, "oak stool")
        expect(page.get_by_role("alert")).to_contain_text("The service is busy.")
        expect(results(page)).to_have_count(11)
        page.route("**/recommend", lambda route: route.abort())
        page.get_by_label("Length").press("ArrowRight")
        expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        # The browser notes the refusals by itself.
        watch.said.clear()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_controls_have_names_and_texts_have_contrast(dark: bool, browser: Browser, address: str) -> None:
    fragment = "/#h=item+8%2F%C3%A9&h=nobody&only=%5B%22brand%22%2C%5B%22brand+1%22%5D%5D"
    for path in (fragment, "/", fragment + "&similar=item+8%2F%C3%A9"):
        with opened(browser, address, path=path, dark=dark) as (page, _):
            settled(page)
            seen = page.evaluate(CONTRAST)
            assert seen["texts"] > 50
            assert seen["faint"] == []
            unnamed = page.locator("button, a, input, select, summary, [role=listbox], dialog").evaluate_all(
                "all => all.filter((each) => !(each.ariaLabel || each.labels?.length || each.textContent.trim()"
                " || each.getAttribute('aria-labelledby'))).map((each) => each.outerHTML)"
            )
            assert unnamed == []
            ids = page.locator("[id]").evaluate_all("all => all.map((each) => each.id)")
            assert len(ids) == len(set(ids))
            for attribute in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
                named = page.locator(f"[{attribute}]").evaluate_all(
                    f"all => all.flatMap((each) => each.getAttribute('{attribute}').split(' '))"
                )
                assert set(named) <= set(ids)


def test_the_answer_tells_its_time_and_model(browser: Browser, address: str) -> None:
    with opened(browser, address, path="/#h=item+8%2F%C3%A9") as (page, _):
        settled(page)
        facts = page.locator("#answer-facts").inner_text()
        assert re.search(r"Round trip\s+[\d.]+ ms", facts)
        assert re.search(r"In the service\s+[\d.]+ ms", facts)
        assert re.fullmatch(r"[0-9a-f]{16}", page.locator("#model-version").inner_text())
        expect(page.locator("#announcer")).to_contain_text("10 recommendations")


def test_the_api_page_asks_nobody_else(browser: Browser, address: str) -> None:
    with opened(browser, address, path="/api") as (page, _):
        expect(page.get_by_text("/recommend_batch")).to_be_visible()
        page.get_by_role("button", name="post /recommend", exact=True).click()
        expect(page.get_by_text("Recommend items to one user, best first.").first).to_be_visible()
        page.wait_for_load_state("networkidle")


@pytest.fixture(scope="module")
def locked_address(parts: BundleParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = parts.write(tmp_path_factory.mktemp("locked") / "bundle")
    bento = build_bento(model_tag=store_bundle(folder, name="learn_locked_playground"))
    wants_keys = {"LEARN_OPERATIONS_KEYS_FOR": "all", "LEARN_SERVING_KEYS": "the-right-key-of-this-shop"}
    with run_service(bento, start_seconds=_START_SECONDS, environment=wants_keys) as address:
        yield address


def test_a_service_that_wants_a_key_is_opened_with_it_and_no_other(browser: Browser, locked_address: str) -> None:
    with opened(browser, locked_address) as (page, watch):
        form = page.get_by_role("dialog", name="This service wants an API key")
        expect(form).to_be_visible()
        expect(form.get_by_role("alert")).to_be_hidden()
        for key in ("a-wrong-one", "the-right-key-of-this-shop"):
            form.get_by_label("Key").fill(key)
            page.keyboard.press("Enter")
            if key == "a-wrong-one":
                expect(form.get_by_role("alert")).to_have_text("The key was not right.")
        settled(page)
        expect(form).to_be_hidden()
        expect(results(page)).to_have_count(10)
        page.reload()
        settled(page)
        expect(results(page)).to_have_count(10)
        # A browser writes down each refusal by itself.
        watch.said[:] = [said for said in watch.said if "401" not in said]
