// The API key of a service that wants one: kept for this tab, sent only to this service.

import { byId } from "./elements.js";

const NAME = "learn-api-key";

export function keyHeaders() {
  const key = sessionStorage.getItem(NAME);
  return key ? { "X-API-Key": key } : {};
}

// Shows the form; where a key was given before, it was a wrong one.
export function wantKey() {
  const dialog = byId("key");
  if (dialog.open) return;
  byId("key-refused").hidden = !sessionStorage.getItem(NAME);
  byId("api-key").value = "";
  dialog.showModal();
}

export function startKey(again) {
  byId("key-form").addEventListener("submit", () => {
    sessionStorage.setItem(NAME, byId("api-key").value.trim());
    again();
  });
}
