// The API key: asked for when the service wants one, kept for this tab only.

import { byId } from "./dom.js";

const STORE = "embedding-service-key";
const watchers = new Set();
let asked = null;

export function headers() {
  const key = sessionStorage.getItem(STORE);
  return key ? { authorization: `Bearer ${key}` } : {};
}

/** Calls `watcher(true)` when a key is asked for and `watcher(false)` once there is one; returns how to stop. */
export function watch(watcher) {
  watchers.add(watcher);
  if (asked) watcher(true);
  return () => watchers.delete(watcher);
}

/** Shows the field with the service's words; settles when a key was given. All who ask meanwhile wait for the same. */
export function ask(message) {
  byId("key-words").textContent = message;
  if (asked) return asked.promise;
  byId("key").hidden = false;
  byId("key-input").value = "";
  byId("key-input").focus();
  asked = waiting();
  watchers.forEach((watcher) => watcher(true));
  return asked.promise;
}

export function setUp() {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const key = byId("key-input").value.trim();
    if (!key || !asked) return;
    sessionStorage.setItem(STORE, key);
    byId("key").hidden = true;
    const { resolve } = asked;
    asked = null;
    watchers.forEach((watcher) => watcher(false));
    resolve();
  });
}

function waiting() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}
