// Items as the page shows them, and what is known of them.

import { Line } from "./asking.js";
import { make, text } from "./elements.js";

const MOST_AT_ONCE = 100;
const MOST_CELLS = 3;
const LONGEST_CELL = 28;
// What the bundle counts of each item: useful for filters, but not next to a title.
const COUNTS = ["training_interactions", "recent_interactions"];

const described = new Map();
const fresh = new Set();
let shownColumns = [];

export function know(items) {
  for (const item of items) {
    described.set(item.item_id, item);
    fresh.add(item.item_id);
  }
}

// Another model may have another catalogue: items are requested again, and shown as before until then.
// Columns that differ for every item say little next to a title.
export function renew({ columns, items }) {
  fresh.clear();
  shownColumns = columns.filter(
    ({ name, kind, distinct }) => !COUNTS.includes(name) && (kind === "number" || distinct <= items / 2),
  );
}

export function titleOf(id) {
  return described.get(id)?.title ?? id;
}

// Learns the titles and columns of items; resolves to whether anything was learned.
export async function learn(ids) {
  const unknown = [...new Set(ids)].filter((id) => !fresh.has(id));
  let learned = false;
  for (let at = 0; at < unknown.length; at += MOST_AT_ONCE) {
    const found = await new Line().ask("describe_items", { item_ids: unknown.slice(at, at + MOST_AT_ONCE) });
    know(found.answer.items);
    learned ||= found.answer.items.length > 0;
  }
  return learned;
}

// Title above id and cells; an item without a title is called by its id.
export function itemLines(item) {
  const known = described.get(item.item_id);
  const title = item.title ?? known?.title ?? null;
  const cells = shownColumns
    .map(({ name }) => [name, shown(name, known?.columns?.[name])])
    .filter(([, cell]) => cell.length > 0 && cell.length <= LONGEST_CELL && !title?.startsWith(cell))
    .slice(0, MOST_CELLS);
  return make(
    "div",
    { class: "item" },
    text(title ?? item.item_id, { class: title === null ? "title untitled" : "title", title: title ?? item.item_id }),
    make(
      "span",
      { class: "cells" },
      title === null ? null : make("code", {}, text(item.item_id, { title: item.item_id })),
      ...cells.map(([name, cell]) => text(cell, { title: name })),
    ),
  );
}

function shown(name, cell) {
  if (cell === undefined || cell === false) return "";
  if (cell === true) return name;
  if (typeof cell === "number") return `${name} ${cell.toLocaleString("en")}`;
  return Array.isArray(cell) ? cell.join(", ") : cell;
}
