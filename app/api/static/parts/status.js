// The status line below a panel's controls: progress, results and errors.

import * as key from "./key.js";
import { el } from "./dom.js";

const WAITING = "Enter an API key at the top of the page; this continues then.";

export class Status {
  /** @param {HTMLElement} node has `role="status"`; errors are announced at once. @param {() => void} clear takes away an answer that no longer holds */
  constructor(node, clear = () => {}) {
    this.node = node;
    this.clear = clear;
  }

  say(text, state = "done") {
    this.node.dataset.state = state;
    this.node.setAttribute("aria-live", state === "error" ? "assertive" : "polite");
    this.node.replaceChildren(...(text ? [el("span", {}, text)] : []));
  }

  /** Says what is wrong with the input. Work that was started for an earlier one has no say any more. */
  refuse(text) {
    this.latest = Symbol(text);
    this.clear();
    this.say(text);
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
      this.clear();
      this.say(error.message, "error");
      if (error.status === 403) this.#offerKey(error, () => this.during(text, work));
      if (error.status === undefined) throw error;
    } finally {
      unwatch();
    }
  }

  /** A key without the scope is no reason to close the tab. */
  #offerKey({ message }, again) {
    const button = el("button", { type: "button", className: "link" }, "Use another key");
    button.addEventListener("click", () => key.ask(message).then(again));
    this.node.firstChild.append(" ", button);
  }
}
