// The status line below a panel's controls: progress, results and errors.

import * as key from "./key.js";
import { el } from "./dom.js";

const WAITING = "Waiting for an API key.";

export class Status {
  /** @param {HTMLElement} node has `role="status"`; errors are announced at once. */
  constructor(node) {
    this.node = node;
  }

  say(text, state = "done") {
    this.node.dataset.state = state;
    this.node.setAttribute("aria-live", state === "error" ? "assertive" : "polite");
    this.node.replaceChildren(...(text ? [el("span", {}, text)] : []));
  }

  /** Runs `work`, which may return a status text. The result is dropped if a newer call has been started since. */
  async during(text, work) {
    const mine = (this.latest = Symbol(text));
    const current = () => this.latest === mine;
    this.say(text, "busy");
    const unwatch = key.watch((asked) => current() && this.say(asked ? WAITING : text, "busy"));
    try {
      const done = await work(current, (progress) => current() && this.say(progress, "busy"));
      if (current()) this.say(done ?? "");
    } catch (error) {
      if (!current()) return;
      this.say(error.message, "error");
      if (error.status === undefined) throw error;
    } finally {
      unwatch();
    }
  }
}
