// Filters in words, and changes of them. A condition is a list of values, or a range { min, max }.

export const SIDES = { only: "Only", not: "Not" };

// Returns a copy of a view's filters with one value taken up on one side, or taken back.
export function withValue(view, side, name, value) {
  const filters = { only: new Map(view.only), not: new Map(view.not) };
  const before = valuesOf(view, side, name);
  const other = side === "only" ? "not" : "only";
  set(filters[side], name, before.includes(value) ? before.filter((each) => each !== value) : [...before, value]);
  set(filters[other], name, valuesOf(view, other, name).filter((each) => each !== value));
  return filters;
}

export function withRange(view, side, name, range) {
  const filters = { only: new Map(view.only), not: new Map(view.not) };
  filters.only.delete(name);
  filters.not.delete(name);
  if (Object.keys(range).length) filters[side].set(name, range);
  return filters;
}

export function without(view, side, name, value) {
  return Array.isArray(view[side].get(name)) ? withValue(view, side, name, value) : withRange(view, side, name, {});
}

export function valuesOf(view, side, name) {
  const condition = view[side].get(name);
  return Array.isArray(condition) ? condition : [];
}

// Every filter in use, in words.
export function inUse(view) {
  return Object.entries(SIDES).flatMap(([side, word]) =>
    [...view[side]].flatMap(([name, condition]) =>
      Array.isArray(condition)
        ? condition.map((value) => ({ side, name, value, words: `${word} ${name}: ${shownValue(value)}` }))
        : [{ side, name, value: null, words: `${word} ${name}: ${shownRange(condition)}` }],
    ),
  );
}

export function shownValue(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return value === "" ? "(empty text)" : String(value);
}

function shownRange({ min, max }) {
  if (min === undefined) return `up to ${max}`;
  return max === undefined ? `from ${min}` : `${min} to ${max}`;
}

function set(map, name, values) {
  if (values.length) map.set(name, values);
  else map.delete(name);
}
