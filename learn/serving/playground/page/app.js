// The playground: one view, kept in the URL's fragment; every change of it is drawn and requested from here.

import { AskError, Line } from "./asking.js";
import { announce, byId, debounced, trouble } from "./elements.js";
import { byUse, drawColumns, showActive, showPressed, showTuning, startTuning } from "./filters.js";
import { showHistory, startHistory } from "./history.js";
import { learn, renew, titleOf } from "./items.js";
import { startKey } from "./key.js";
import { showFacts, showList, showNotices, showWaiting } from "./results.js";
import { startSearch } from "./search.js";
import { keepingFocus, startSimilar } from "./similar.js";
import { filtersOf, isFiltered, MOST_HISTORY, readView, writeView } from "./state.js";

const WAIT_MILLISECONDS = 60;

const lines = { recommend: new Line(), explain: new Line(), catalogue: new Line() };
let view = readView(location.hash);
let unknown = new Set();
const versionsRead = new Set();

// Takes up a part of a view, or a function from the view to one. Sliders replace the last view: going back a page is
// not to go back a step of a slider.
function change(part, { replace = false } = {}) {
  const before = view;
  view = { ...view, ...(typeof part === "function" ? part(view) : part) };
  const fragment = writeView(view);
  if (fragment !== writeView(before)) {
    window.history[replace ? "replaceState" : "pushState"](null, "", `#${fragment}`);
  }
  show(before);
}

function show(before) {
  showHistory(view, unknown, change);
  showTuning(view);
  showActive(view, change);
  showPressed(view);
  showSimilar(view);
  if (asked(view) !== asked(before)) {
    // From now on the list is outdated, also while the request waits for more changes.
    byId("results").setAttribute("aria-busy", "true");
    recommendSoon();
  }
}

// What the list of recommendations depends on.
function asked(some) {
  return some && writeView({ ...some, similar: null });
}

function add(id) {
  if (view.history.length >= MOST_HISTORY) {
    announce(`The playground takes histories of up to ${MOST_HISTORY} items.`);
    return;
  }
  change({ history: [...view.history, id] });
  announce(`Added ${titleOf(id)}.`);
}

const recommendSoon = debounced(WAIT_MILLISECONDS, recommend);

async function recommend() {
  const now = view;
  const place = byId("results");
  place.setAttribute("aria-busy", "true");
  lines.explain.cancel();
  try {
    const found = await lines.recommend.ask("recommend", {
      history: now.history,
      k: now.k,
      exclude_seen: !now.seen,
      diversity: now.diversity,
      caps: now.cap ? [{ column: now.cap.column, at_most: now.cap.atMost }] : [],
      ...filtersOf(now),
    });
    // The view may have changed meanwhile; then its own request is already on its way.
    if (found === null || asked(now) !== asked(view)) return;
    place.setAttribute("aria-busy", "false");
    await showAnswer(now, found);
  } catch (error) {
    if (!(error instanceof AskError)) throw error;
    place.setAttribute("aria-busy", "false");
    byId("answer-facts").replaceChildren();
    byId("notices").replaceChildren();
    place.replaceChildren(trouble(error, recommend));
  }
}

async function showAnswer(now, found) {
  const { answer } = found;
  byId("model-version").textContent = answer.model_version;
  if (!versionsRead.has(answer.model_version)) {
    // Another model serves, and with it perhaps another catalogue.
    versionsRead.add(answer.model_version);
    await readCatalogue();
    // The view may have changed meanwhile; then its own request is already on its way.
    if (asked(now) !== asked(view)) return;
  }
  unknown = new Set(answer.unknown_items);
  const place = byId("results");
  let why = null;
  const draw = () => {
    const actions = { add, similar: (id) => change({ similar: id }) };
    showList(place, answer.items, { why: answer.fallback ? undefined : why, history: now.history, actions });
    showHistory(view, unknown, change);
  };
  showFacts(found, now.k);
  showNotices(answer, now.k, isFiltered(now));
  keepingFocus(place, draw);
  announce(answer.fallback ? `${answer.items.length} popular items.` : `${answer.items.length} recommendations.`);
  // What the list is like comes after the list, so that the list does not wait for it.
  const ids = answer.items.map((item) => item.item_id);
  if (!ids.length && !now.history.length) return;
  const [, nearest] = await Promise.allSettled([
    learn([...now.history, ...ids]),
    ids.length && !answer.fallback ? lines.explain.ask("explain", { history: now.history, item_ids: ids }) : null,
  ]);
  if (asked(now) !== asked(view)) return;
  why = new Map();
  if (nearest.status === "fulfilled" && nearest.value) {
    why = new Map(nearest.value.answer.explanations.map((each) => [each.item_id, each.nearest]));
  } else if (nearest.status === "rejected") {
    byId("notices").append(trouble(nearest.reason, null));
  }
  keepingFocus(place, draw);
}

async function readCatalogue() {
  const place = byId("columns");
  try {
    const found = await lines.catalogue.ask("catalogue", { values: 40 });
    if (found === null) return;
    renew({ columns: byUse(found.answer), items: found.answer.items });
    versionsRead.add(found.answer.model_version);
    byId("model-version").textContent = found.answer.model_version;
    byId("item-count").textContent = `${found.answer.items.toLocaleString("en")} items`;
    drawColumns(found.answer, change);
    showTuning(view);
    showPressed(view);
  } catch (error) {
    if (!(error instanceof AskError)) throw error;
    place.setAttribute("aria-busy", "false");
    place.replaceChildren(trouble(error, readCatalogue));
  }
}

function startLinks() {
  byId("skip").addEventListener("click", (event) => {
    // The fragment is the view's.
    event.preventDefault();
    byId("results-title").focus();
  });
  // Browsers lend the clipboard to pages of this machine, or over TLS.
  if (navigator.clipboard) {
    byId("copy-link").hidden = false;
    byId("copy-link").addEventListener("click", async () => {
      await navigator.clipboard.writeText(location.href);
      announce("The link to this view is copied.");
      byId("copy-link").textContent = "Copied";
      setTimeout(() => (byId("copy-link").textContent = "Copy link"), 1500);
    });
  }
  window.addEventListener("popstate", () => {
    const before = view;
    view = readView(location.hash);
    show(before);
  });
}

startSearch((id) => add(id));
startHistory(change);
startTuning(change);
startLinks();
startKey(() => {
  readCatalogue();
  recommend();
});
const showSimilar = startSimilar({ change, add, viewNow: () => view });
showWaiting(byId("results"));
await readCatalogue();
show(null);
