// How long and how diverse the list is, and which items may be in it.

import { inUse, shownValue, SIDES, valuesOf, withRange, without, withValue } from "./columns.js";
import { byId, debounced, make, text } from "./elements.js";

const WAIT_MILLISECONDS = 300;
const SHOWN_AT_ONCE = 8;

export function startTuning(change) {
  const slider = (id, read) => byId(id).addEventListener("input", () => change(read(byId(id)), { replace: true }));
  slider("k", (field) => ({ k: Number(field.value) }));
  slider("diversity", (field) => ({ diversity: Number(field.value) }));
  slider("cap", () => ({ cap: capped() }));
  byId("cap-column").addEventListener("change", () => change({ cap: capped() }));
  byId("seen").addEventListener("change", () => change({ seen: byId("seen").checked }));
  // On a phone the recommendations are to be seen without scrolling past every filter.
  byId("tuning").open = matchMedia("(min-width: 50rem)").matches;
}

export function showTuning(view) {
  byId("k").value = view.k;
  byId("k-shown").textContent = view.k;
  byId("diversity").value = view.diversity;
  byId("diversity-shown").textContent = view.diversity.toFixed(2);
  byId("cap-column").value = view.cap?.column ?? "";
  if (view.cap) byId("cap").value = view.cap.atMost;
  byId("cap").hidden = byId("cap-shown").hidden = view.cap === null;
  byId("cap-shown").textContent = view.cap?.atMost ?? "";
  byId("seen").checked = view.seen;
  const count = inUse(view).length;
  byId("filter-count").textContent = count ? `${count} in use` : "";
}

export function showActive(view, change) {
  const place = byId("active-filters");
  const filters = inUse(view);
  place.hidden = filters.length === 0;
  place.replaceChildren(
    ...filters.map(({ side, name, value, words }) =>
      make("li", {}, make("button", { type: "button", class: "chip", "aria-label": `Remove the filter: ${words}`, onclick: () => drop(side, name, value) }, text(words), " ×")),
    ),
    filters.length > 1 ? make("li", {}, make("button", { type: "button", class: "quiet", onclick: clear }, "Remove all")) : "",
  );

  function drop(side, name, value) {
    change((now) => without(now, side, name, value));
    (place.querySelector("button") ?? byId("results-title")).focus();
  }

  function clear() {
    change({ only: new Map(), not: new Map() });
    byId("results-title").focus();
  }
}

// Draws the columns once for each catalogue; what is pressed is shown by `showPressed`.
export function drawColumns(catalogue, change) {
  const place = byId("columns");
  const columns = byUse(catalogue);
  byId("cap-column").replaceChildren(
    make("option", { value: "" }, "none"),
    ...columns.filter((column) => ["text", "flag"].includes(column.kind)).map(({ name }) => make("option", { value: name }, `per ${name}`)),
  );
  place.setAttribute("aria-busy", "false");
  place.replaceChildren(
    ...columns.map((column, at) => drawColumn(column, at, change)),
    columns.length ? "" : make("p", { class: "soft" }, "The catalogue has no columns to filter by."),
  );
}

export function showPressed(view) {
  for (const button of byId("columns").querySelectorAll("button[data-side]")) {
    const { side, name, value } = button.filter;
    button.setAttribute("aria-pressed", String(valuesOf(view, side, name).includes(value)));
  }
  for (const group of byId("columns").querySelectorAll("[data-range]")) group.showRange(view);
  for (const group of byId("columns").querySelectorAll("details")) {
    const used = view.only.has(group.dataset.name) || view.not.has(group.dataset.name);
    group.toggleAttribute("data-used", used);
    if (used) group.open = true;
  }
}

// What sorts items into few groups is filtered by most; what differs from item to item, least.
export function byUse(catalogue) {
  return [...catalogue.columns].sort((one, other) => rank(one, catalogue) - rank(other, catalogue));
}

function rank(column, catalogue) {
  return column.kind === "number" ? catalogue.items / 2 : column.distinct;
}

function drawColumn(column, at, change) {
  const body = column.kind === "number" ? drawRange(column, at, change) : drawValues(column, change);
  const values = column.distinct === null ? "range" : column.distinct.toLocaleString("en");
  return make(
    "details",
    { class: "column", "data-name": column.name, open: at === 0 },
    make("summary", {}, text(column.name), " ", make("span", { class: "soft small" }, values)),
    body,
  );
}

function drawValues(column, change) {
  const rows = column.values.map(({ value, items }) => {
    const words = shownValue(value);
    const button = (side) => {
      const element = make("button", {
        type: "button", "data-side": side, "aria-pressed": "false", "aria-label": `${SIDES[side]} ${column.name}: ${words}`,
        onclick: () => change((now) => withValue(now, side, column.name, value)),
      }, SIDES[side].toLowerCase());
      element.filter = { side, name: column.name, value };
      return element;
    };
    return make("li", {}, text(words, { class: "value", title: words }), make("span", { class: "soft small" }, items.toLocaleString("en")), button("only"), button("not"));
  });
  const list = make("ul", { class: "values", "aria-label": column.name }, ...rows.slice(0, SHOWN_AT_ONCE));
  const rest = rows.slice(SHOWN_AT_ONCE);
  const hidden = column.distinct - column.values.length;
  const note = hidden > 0 ? make("p", { class: "soft small", hidden: rest.length > 0 }, `${hidden.toLocaleString("en")} rarer values are not listed.`) : null;
  if (!rest.length) return make("div", {}, list, note);
  const more = make("button", { type: "button", class: "quiet", onclick: showRest }, `${rest.length} more`);
  return make("div", {}, list, more, note);

  function showRest() {
    list.append(...rest);
    more.remove();
    if (note) note.hidden = false;
    rest[0].querySelector("button").focus();
  }
}

function drawRange(column, at, change) {
  const field = (word, bound) =>
    make("input", { type: "number", step: "any", placeholder: bound, "aria-label": `${column.name} ${word}`, "aria-describedby": `range-state-${at}` });
  const side = make("select", { "aria-label": `${column.name}: only or not` }, ...Object.entries(SIDES).map(([name, word]) => make("option", { value: name }, word.toLowerCase())));
  const from = field("from", column.minimum);
  const to = field("to", column.maximum);
  const state = make("p", { class: "small bad-text", id: `range-state-${at}`, role: "status" });
  const group = make("div", { class: "range", "data-range": true }, side, from, make("span", { class: "soft" }, "to"), to, state);

  function read() {
    const range = {};
    if (from.value !== "" && from.validity.valid) range.min = from.valueAsNumber;
    if (to.value !== "" && to.validity.valid) range.max = to.valueAsNumber;
    const wrong = range.min > range.max || !from.validity.valid || !to.validity.valid;
    for (const each of [from, to]) each.setAttribute("aria-invalid", String(wrong));
    state.textContent = wrong ? "The first number must not be above the second." : "";
    if (!wrong) change((now) => withRange(now, side.value, column.name, range));
  }

  const readSoon = debounced(WAIT_MILLISECONDS, read);
  side.addEventListener("change", read);
  from.addEventListener("input", () => readSoon());
  to.addEventListener("input", () => readSoon());
  group.showRange = (view) => {
    // What is being typed stays as it is.
    if (group.contains(document.activeElement)) return;
    const used = view.not.has(column.name) ? "not" : "only";
    const range = view[used].get(column.name) ?? {};
    side.value = used;
    from.value = range.min ?? "";
    to.value = range.max ?? "";
  };
  return group;
}

function capped() {
  const column = byId("cap-column").value;
  return column ? { column, atMost: Number(byId("cap").value) } : null;
}
