"""The playground as its tests open it, read it and type into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect

PATIENCE_MILLISECONDS = 20_000


@dataclass
class Watch:
    """What a page did that it should not have done."""

    origin: str
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def elsewhere(self) -> list[str]:
        return [url for url in self.asked if not url.startswith((self.origin, "data:"))]


@contextmanager
def opened(
    browser: Browser, address: str, *, path: str = "/", width: int = 1280, dark: bool = False
) -> Iterator[tuple[Page, Watch]]:
    """Open a page; whatever it asks elsewhere, or complains about, fails the test."""
    watch = Watch("{0.scheme}://{0.netloc}/".format(urlsplit(address)))
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        page.on("request", lambda request: watch.asked.append(request.url))
        page.on("console", lambda message: watch.said.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: watch.said.append(str(error)))
        page.goto(address + path)
        yield page, watch
        assert watch.elsewhere == []
        assert watch.said == []
    finally:
        context.close()


def results(page: Page) -> Locator:
    return page.locator("#results ol > li")


def found(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Items found").get_by_role("option")


def settled(page: Page) -> None:
    """Wait until the list and all that is told of it stand."""
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    expect(results(page).or_(page.locator(".notice")).first).to_be_visible()
    page.wait_for_load_state("networkidle")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until something has the focus, as anyone who has no mouse does; the focus must always be seen."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            shown = target.evaluate("element => getComputedStyle(element).outlineStyle")
            assert shown != "none"
            return
    raise AssertionError(f"the keyboard does not reach {target}")


def add(page: Page, query: str, *, downs: int = 1) -> None:
    field = page.get_by_role("combobox", name="Add an item")
    # At once: a busy machine would answer a part of what is typed key by key.
    with page.expect_response(lambda reply: (reply.request.post_data_json or {}).get("query") == query):
        field.fill(query)
    expect(found(page).first).to_be_visible()
    for _ in range(downs):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True).and_(page.locator("#found li"))).to_have_id(f"found-{downs - 1}")
    page.keyboard.press("Enter")
