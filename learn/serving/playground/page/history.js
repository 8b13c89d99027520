// The history that is clicked together, newest last.

import { announce, byId, make } from "./elements.js";
import { itemLines, titleOf } from "./items.js";

let shownBefore = 0;

export function startHistory(change) {
  byId("clear-history").addEventListener("click", () => {
    change({ history: [] });
    announce("The history is empty.");
    byId("search").focus();
  });
}

export function showHistory(view, unknown, change) {
  const { history } = view;
  byId("history-count").textContent = history.length ? `${history.length}, newest last` : "";
  byId("clear-history").hidden = history.length === 0;
  byId("history-empty").hidden = history.length > 0;
  const list = byId("history");
  // Redrawn in place, so that the focus stays on its button.
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const at = focused && [...list.children].indexOf(focused.closest("li"));
  list.replaceChildren(...history.map((id, place) => row(id, place, history, unknown, change)));
  // The newest, when one was added.
  if (history.length > shownBefore) list.scrollTop = list.scrollHeight;
  shownBefore = history.length;
  if (focused && at < history.length) buttonOf(at, focused.dataset.name).focus();
}

function row(id, place, history, unknown, change) {
  const title = titleOf(id);
  const button = (name, sign, say, run, enabled) =>
    make(
      "button",
      { type: "button", class: "icon", "data-name": name, "aria-label": `${say}: ${title}`, title: say, disabled: !enabled, onclick: run },
      sign,
    );
  return make(
    "li",
    {},
    make("span", { class: "place", "aria-hidden": "true" }, String(place + 1)),
    itemLines({ item_id: id, title: null }),
    unknown.has(id) ? make("span", { class: "tag warn" }, "unknown") : null,
    make(
      "span",
      { class: "buttons" },
      button("older", "↑", "Move to older", () => move(history, place, place - 1, change), place > 0),
      button("newer", "↓", "Move to newer", () => move(history, place, place + 1, change), place < history.length - 1),
      button("remove", "×", "Remove", () => remove(history, place, change), true),
    ),
  );
}

function move(history, from, to, change) {
  const moved = [...history];
  const [id] = moved.splice(from, 1);
  moved.splice(to, 0, id);
  change({ history: moved });
  announce(`${titleOf(id)} is now number ${to + 1} of ${moved.length}.`);
  // At an end the button that was pressed is closed, and its neighbour takes the focus.
  const name = to < from ? "older" : "newer";
  const pressed = buttonOf(to, name);
  (pressed.disabled ? buttonOf(to, name === "older" ? "newer" : "older") : pressed).focus();
}

function remove(history, place, change) {
  const left = history.filter((_, at) => at !== place);
  change({ history: left });
  announce(`Removed ${titleOf(history[place])}.`);
  if (left.length) buttonOf(Math.min(place, left.length - 1), "remove").focus();
  else byId("search").focus();
}

function buttonOf(place, name) {
  return byId("history").children[place].querySelector(`[data-name=${name}]`);
}
