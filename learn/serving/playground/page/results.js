// The list of recommendations: its items, its time, and the items of the history nearest to each.

import { shownMilliseconds } from "./asking.js";
import { byId, make, text } from "./elements.js";
import { itemLines, titleOf } from "./items.js";

const WHY_FALLBACK = {
  empty_history: "The history is empty, so these are the most popular items of the last window.",
  no_known_item: "No item of the history is in the catalogue, so these are the most popular items of the last window.",
};

export function showFacts({ answer, milliseconds, service }, wanted) {
  const facts = [
    ["Items", answer.items.length < wanted ? `${answer.items.length} of ${wanted}` : String(answer.items.length)],
    ["From", answer.fallback ? "popularity" : "user tower"],
    ["Score", answer.fallback ? "interactions" : "inner product"],
    ["Round trip", shownMilliseconds(milliseconds)],
    ["In the service", shownMilliseconds(service)],
  ];
  byId("answer-facts").replaceChildren(
    ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
}

export function showNotices(answer, wanted, filtered) {
  const notices = [];
  if (answer.fallback) notices.push(make("p", { class: "notice warn" }, make("strong", {}, "Fallback. "), WHY_FALLBACK[answer.fallback]));
  if (answer.unknown_items.length) {
    notices.push(make("p", { class: "notice warn" }, make("strong", {}, "Unknown items were ignored: "), ...listed(answer.unknown_items)));
  }
  if (answer.items.length === 0) {
    notices.push(make("p", { class: "notice" }, filtered ? "No item is left by the filters." : "No item is left to recommend."));
  } else if (answer.items.length < wanted) {
    notices.push(make("p", { class: "notice" }, `No more than ${answer.items.length} items are left${filtered ? " by the filters" : ""}.`));
  }
  byId("notices").replaceChildren(...notices);
}

// `why`: by item id, the nearest of the history; null while they are not known, undefined if there are none.
export function showList(place, items, { why, history, actions }) {
  const top = Math.max(...items.map((item) => Math.abs(item.score)), Number.MIN_VALUE);
  const places = new Map(history.map((id, at) => [id, at + 1]));
  place.replaceChildren(
    make(
      "ol",
      { class: why === undefined ? "list" : "list explained" },
      ...items.map((item) =>
        make(
          "li",
          { "data-id": item.item_id },
          make("span", { class: "place", "aria-hidden": "true" }, String(item.rank)),
          itemLines(item),
          why === undefined ? null : nearest(why && (why.get(item.item_id) ?? []), places),
          score(item, top),
          buttons(item, actions),
        ),
      ),
    ),
  );
}

export function showWaiting(place) {
  place.replaceChildren(make("div", { class: "waiting" }, ...Array.from({ length: 6 }, () => make("div", {}))));
}

function nearest(found, places) {
  const box = make("div", { class: "why" }, make("span", { class: "why-head" }, "Nearest in the history"));
  if (found === null) box.append(make("span", { class: "soft" }, "…"));
  for (const each of found ?? []) {
    const title = each.title ?? each.item_id;
    box.append(
      make(
        "span",
        { class: "near", title },
        make("span", { class: "place" }, String(places.get(each.item_id) ?? "")),
        text(title, { class: "near-title" }),
        make("span", { class: "number" }, each.similarity.toFixed(2)),
      ),
    );
  }
  return box;
}

function score(item, top) {
  const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span"));
  bar.firstChild.style.width = `${Math.round((100 * Math.max(item.score, 0)) / top)}%`;
  const number = Number.isInteger(item.score) ? item.score.toLocaleString("en") : item.score.toFixed(3);
  return make("div", { class: "score" }, make("span", { class: "visually-hidden" }, "Score "), make("span", { class: "number" }, number), bar);
}

function buttons(item, { add, similar }) {
  const title = item.title ?? titleOf(item.item_id);
  return make(
    "div",
    { class: "buttons" },
    make("button", { type: "button", "data-name": "add", "aria-label": `Add to the history: ${title}`, onclick: () => add(item.item_id) }, "Add"),
    make("button", { type: "button", "data-name": "similar", "aria-label": `Similar items: ${title}`, onclick: () => similar(item.item_id) }, "Similar"),
  );
}

function listed(ids) {
  return ids.flatMap((id, at) => [at ? ", " : "", make("code", { dir: "auto" }, id)]);
}
