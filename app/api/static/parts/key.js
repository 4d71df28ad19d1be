// The API key: requested when the service requires one, kept for this tab only.

import { byId } from "./dom.js";

const STORE = "embedding-service-key";
const watchers = new Set();
let asked = null;

export function headers() {
  const key = sessionStorage.getItem(STORE);
  return key ? { authorization: `Bearer ${key}` } : {};
}

/** Whether requests carry a key. */
export function given() {
  return sessionStorage.getItem(STORE) !== null;
}

/** Calls `watcher(true)` when a key is required and `watcher(false)` once there is one; returns a function to stop. */
export function watch(watcher) {
  watchers.add(watcher);
  if (asked) watcher(true);
  return () => watchers.delete(watcher);
}

/** Shows the key field with a message; resolves when a key was entered. Concurrent callers share one promise. */
export function ask(message) {
  byId("key-message").textContent = message;
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
