// What the page shows, and its form in the URL's fragment, so that a view can be shared.

export const MOST_HISTORY = 200;
export const MOST_ITEMS = 50;
export const MOST_PER_VALUE = 10;

const LONGEST_ID = 1000;

export function emptyView() {
  return { history: [], k: 10, diversity: 0, seen: false, cap: null, only: new Map(), not: new Map(), similar: null };
}

// Reads a fragment; what is not understood is left out, since anybody may have written it.
export function readView(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const view = emptyView();
  view.history = given.getAll("h").filter(isId).slice(-MOST_HISTORY);
  view.k = bounded(given.get("k"), 1, MOST_ITEMS, view.k, Math.round);
  view.diversity = bounded(given.get("diversity"), 0, 1, 0, (number) => Math.round(number * 100) / 100);
  view.seen = given.get("seen") === "yes";
  const [column, atMost] = pair(given.get("cap"));
  if (typeof column === "string" && Number.isInteger(atMost) && atMost >= 1) {
    view.cap = { column, atMost: Math.min(atMost, MOST_PER_VALUE) };
  }
  for (const side of ["only", "not"]) {
    for (const text of given.getAll(side)) {
      const [name, condition] = pair(text);
      if (typeof name === "string" && isCondition(condition)) view[side].set(name, condition);
    }
  }
  const similar = given.get("similar");
  view.similar = similar !== null && isId(similar) ? similar : null;
  return view;
}

export function writeView(view) {
  const parameters = new URLSearchParams();
  const usual = emptyView();
  for (const id of view.history) parameters.append("h", id);
  if (view.k !== usual.k) parameters.set("k", view.k);
  if (view.diversity !== usual.diversity) parameters.set("diversity", view.diversity);
  if (view.seen) parameters.set("seen", "yes");
  if (view.cap) parameters.set("cap", JSON.stringify([view.cap.column, view.cap.atMost]));
  for (const side of ["only", "not"]) {
    for (const [name, condition] of view[side]) parameters.append(side, JSON.stringify([name, condition]));
  }
  if (view.similar !== null) parameters.set("similar", view.similar);
  return parameters.toString();
}

// The part of a request's body that says which items may come back.
export function filtersOf(view) {
  const body = {};
  if (view.only.size) body.include_only = { columns: Object.fromEntries(view.only) };
  if (view.not.size) body.exclude = { columns: Object.fromEntries(view.not) };
  return body;
}

export function isFiltered(view) {
  return view.only.size + view.not.size > 0;
}

function isId(text) {
  return text.length > 0 && text.length <= LONGEST_ID;
}

function bounded(text, least, most, otherwise, tidy) {
  const number = text === null || text === "" ? NaN : Number(text);
  return Number.isFinite(number) ? tidy(Math.min(most, Math.max(least, number))) : otherwise;
}

function pair(text) {
  try {
    const found = JSON.parse(text ?? "[]");
    return Array.isArray(found) && found.length === 2 ? found : [];
  } catch {
    return [];
  }
}

function isCondition(value) {
  if (Array.isArray(value)) {
    return value.length > 0 && value.every((entry) => ["string", "boolean", "number"].includes(typeof entry));
  }
  if (value === null || typeof value !== "object") return false;
  const names = Object.keys(value);
  return names.length > 0 && names.every((name) => ["min", "max"].includes(name) && Number.isFinite(value[name]));
}
