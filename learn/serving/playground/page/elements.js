// Elements of the page. Texts of the catalogue go in as text, never as markup.

// make("button", { type: "button", onclick: f, "aria-label": "…" }, "text", child, …)
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function byId(id) {
  return document.getElementById(id);
}

// Its direction follows its first strong letter, whatever the page's direction is.
export function text(value, attributes = {}) {
  return make("bdi", { dir: "auto", ...attributes }, value);
}

let announced = 0;

// Tells those who cannot see the page what changed.
export function announce(message) {
  const place = byId("announcer");
  // The same words twice would not be read twice.
  announced += 1;
  place.textContent = message + (announced % 2 ? "" : "\u00a0");
}

// Calls back once, when there was no call for a while.
export function debounced(milliseconds, callback) {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => callback(...values), milliseconds);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

export function trouble(error, again) {
  return make(
    "div",
    { class: "notice bad", role: "alert" },
    make("p", {}, make("strong", {}, error.title), " ", text(error.message)),
    again ? make("button", { type: "button", onclick: again }, "Try again") : null,
  );
}
