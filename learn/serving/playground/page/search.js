// Finding an item to add: a combobox, as the ARIA patterns have it. The focus never leaves the field.

import { AskError, Line } from "./asking.js";
import { byId, debounced, make } from "./elements.js";
import { itemLines, know } from "./items.js";

const WAIT_MILLISECONDS = 140;
const MOST_SHOWN = 12;

export function startSearch(choose) {
  const field = byId("search");
  const list = byId("found");
  const state = byId("search-state");
  const line = new Line();
  let items = [];
  let active = -1;

  async function find() {
    state.textContent = "Searching…";
    try {
      const found = await line.ask("search_items", { query: field.value.trim(), limit: MOST_SHOWN });
      if (found === null) return;
      know(found.answer.items);
      show(found.answer);
    } catch (error) {
      if (!(error instanceof AskError)) throw error;
      close();
      state.textContent = `${error.title} ${error.message}`;
    }
  }

  const findSoon = debounced(WAIT_MILLISECONDS, find);

  function show(answer) {
    items = answer.items;
    list.replaceChildren(...items.map(option));
    list.hidden = items.length === 0;
    list.scrollTop = 0;
    field.setAttribute("aria-expanded", String(items.length > 0));
    activate(-1);
    const kind = field.value.trim() ? "found" : "items, the most popular first";
    state.textContent = items.length
      ? `${items.length} of ${answer.found.toLocaleString("en")} ${kind}`
      : `Nothing holds all of “${field.value.trim()}”.`;
  }

  function option(item, place) {
    const element = make("li", { role: "option", id: `found-${place}`, "aria-selected": "false" }, itemLines(item));
    // Pressing must not take the focus from the field.
    element.addEventListener("pointerdown", (event) => event.preventDefault());
    element.addEventListener("click", () => take(place));
    return element;
  }

  function activate(place) {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = place;
    const element = list.children[active];
    if (element) {
      element.setAttribute("aria-selected", "true");
      element.scrollIntoView({ block: "nearest" });
      field.setAttribute("aria-activedescendant", element.id);
    } else {
      field.removeAttribute("aria-activedescendant");
    }
  }

  function take(place) {
    const item = items[place];
    close();
    field.value = "";
    state.textContent = "";
    choose(item.item_id);
  }

  function close() {
    findSoon.cancel();
    line.cancel();
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    activate(-1);
  }

  function open(place) {
    if (list.hidden) return void find();
    activate((place + items.length) % items.length);
  }

  const keys = {
    ArrowDown: () => open(active + 1),
    ArrowUp: () => open(active < 0 ? items.length - 1 : active - 1),
    Enter: () => {
      if (!list.hidden) take(Math.max(active, 0));
    },
    Escape: () => {
      if (list.hidden) field.value = "";
      close();
      state.textContent = "";
    },
  };

  field.addEventListener("keydown", (event) => {
    if (event.isComposing || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  field.addEventListener("input", () => findSoon());
  field.addEventListener("click", () => {
    if (list.hidden) find();
  });
  field.addEventListener("blur", () => {
    close();
    state.textContent = "";
  });
}
