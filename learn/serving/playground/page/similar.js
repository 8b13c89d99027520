// The sheet of items similar to one. It can be walked from item to item, and back.

import { AskError, Line, shownMilliseconds } from "./asking.js";
import { byId, make, trouble } from "./elements.js";
import { itemLines, learn } from "./items.js";
import { showList } from "./results.js";
import { filtersOf, isFiltered } from "./state.js";

const WANTED = 20;

export function startSimilar({ change, add, viewNow }) {
  const sheet = byId("similar");
  const line = new Line();
  let walked = [];
  let shown = null;
  let returnTo = null;

  const again = () => fill(shown);
  byId("similar-close").addEventListener("click", () => sheet.close());
  byId("similar-back").addEventListener("click", () => {
    change({ similar: walked.pop() ?? null }, { replace: true });
    byId("similar-title").focus();
  });
  byId("similar-within").addEventListener("change", again);
  sheet.addEventListener("click", (event) => {
    if (event.target === sheet) sheet.close();
  });
  sheet.addEventListener("close", () => {
    line.cancel();
    walked = [];
    shown = null;
    if (viewNow().similar !== null) change({ similar: null });
    // The list may have been redrawn behind the sheet.
    const known = returnTo && document.querySelector(`#results li[data-id="${CSS.escape(returnTo)}"] [data-name=similar]`);
    (known ?? byId("results-title")).focus();
  });

  async function fill(id) {
    const view = viewNow();
    const list = byId("similar-list");
    const state = byId("similar-state");
    byId("similar-back").hidden = walked.length === 0;
    byId("similar-within-line").hidden = !isFiltered(view);
    byId("similar-item").replaceChildren(itemLines({ item_id: id, title: null }));
    state.textContent = "Searching…";
    list.setAttribute("aria-busy", "true");
    try {
      const within = isFiltered(view) && byId("similar-within").checked;
      const found = await line.ask("similar_items", { item_id: id, k: WANTED, ...(within ? filtersOf(view) : {}) });
      if (found === null) return;
      const items = found.answer.items;
      const draw = () => {
        byId("similar-item").replaceChildren(itemLines({ item_id: id, title: null }));
        showList(list, items, { history: [], actions: { add, similar: walk } });
      };
      draw();
      state.textContent = `${items.length} items in ${shownMilliseconds(found.milliseconds)} (${shownMilliseconds(found.service)} in the service), by cosine`;
      if (await learn([id, ...items.map((item) => item.item_id)])) keepingFocus(list, draw);
    } catch (error) {
      if (!(error instanceof AskError)) throw error;
      state.textContent = "";
      list.replaceChildren(trouble(error, again));
    } finally {
      list.setAttribute("aria-busy", "false");
    }
  }

  function walk(id) {
    walked.push(shown);
    change({ similar: id }, { replace: true });
    byId("similar-title").focus();
  }

  // Shows what the view says.
  return function showSimilar(view) {
    if (view.similar === shown) return;
    if (view.similar === null) return void sheet.close();
    if (shown === null) returnTo = view.similar;
    shown = view.similar;
    byId("similar-list").replaceChildren(make("p", { class: "soft" }));
    if (!sheet.open) sheet.showModal();
    sheet.scrollTop = 0;
    fill(shown);
  };
}

// Redraws a list without taking the focus from an item's button.
export function keepingFocus(place, draw) {
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const id = focused?.closest("li")?.dataset.id;
  const name = focused?.dataset.name;
  draw();
  if (id !== undefined && name) place.querySelector(`li[data-id="${CSS.escape(id)}"] [data-name=${name}]`)?.focus();
}
