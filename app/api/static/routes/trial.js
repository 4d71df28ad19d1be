// A request that can be changed and sent, with the key of the tab, and the same as code.

import { copyButton } from "../parts/copy.js";
import { el } from "../parts/dom.js";
import * as key from "../parts/key.js";
import { Status } from "../parts/status.js";
import { LANGUAGES } from "./code.js";
import { shown } from "./example.js";

const ROOT = new URL("../../", import.meta.url);
const STORE = "embedding-service-language";
const KEPT = /^(x-|server-timing|ratelimit|retry-after|content-type)/;
const trials = new Set();

class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Trial {
  /** @param {{id: string, method: string, path: string, example?: unknown, parameters: any[], locked: boolean, isText: boolean}} route */
  constructor(route) {
    this.route = route;
    this.values = Object.fromEntries(route.parameters.map(({ name, example }) => [name, example ?? ""]));
    this.body = route.example;
    this.code = el("pre", { tabIndex: 0, "aria-label": "Code" });
    this.answer = el("div", { className: "answer" });
    this.status = new Status(el("p", { className: "status", role: "status" }));
    const send = el("button", { type: "submit", className: "main" }, "Send");
    this.form = el("form", { className: "trial" }, ...this.#fields(), el("div", { className: "row" }, send, this.status.node));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    const copy = copyButton("Copy", () => this.code.textContent);
    this.node = el("div", { className: "beside" }, el("h3", {}, "Try it"), this.form, this.answer, el("div", { className: "languages" }, this.#languages(), copy), this.code);
    trials.add(this);
    this.show();
  }

  /** The code in the language that was chosen last. */
  show() {
    const language = chosen();
    for (const input of this.node.querySelectorAll(".choices input")) input.checked = input.value === language;
    const { method, locked, isText } = this.route;
    this.code.textContent = LANGUAGES[language]({ method, url: this.#url().href, body: this.body, locked, isText });
  }

  #fields() {
    const { id, example } = this.route;
    const field = (name, input) => el("label", { className: "field", htmlFor: input.id }, el("span", {}, name), input);
    const inputs = Object.entries(this.values).map(([name, value]) => {
      const input = el("input", { id: `${id}-${name}`, type: "search", autocomplete: "off", spellcheck: false, required: true, value });
      input.addEventListener("input", () => {
        this.values[name] = input.value;
        this.show();
      });
      return field(name, input);
    });
    if (example === undefined) return inputs;
    this.input = el("textarea", { id: `${id}-body`, spellcheck: false, value: JSON.stringify(example, null, 2) });
    this.input.addEventListener("input", () => this.#read());
    return [...inputs, field("Body", this.input)];
  }

  /** Whether the body is JSON; what is none does not change the code. */
  #read() {
    try {
      this.body = JSON.parse(this.input.value);
    } catch (error) {
      this.status.say(`The body is not JSON: ${error.message}`, "error");
      return false;
    }
    this.status.say("");
    this.show();
    return true;
  }

  #languages() {
    const options = Object.keys(LANGUAGES).map((name) => {
      const input = el("input", { type: "radio", name: `${this.route.id}-language`, value: name });
      input.addEventListener("change", () => {
        localStorage.setItem(STORE, name);
        trials.forEach((trial) => trial.show());
      });
      return el("label", {}, input, el("span", {}, name));
    });
    return el("fieldset", { className: "choices" }, el("legend", {}, "Code"), ...options);
  }

  #url() {
    const path = this.route.path.replace(/{(\w+)}/g, (_, name) => this.values[name].split("/").map(encodeURIComponent).join("/"));
    return new URL(path.slice(1), ROOT);
  }

  #send() {
    if (this.input && !this.#read()) return undefined;
    return this.status.during("Sending …", async (current) => {
      const started = performance.now();
      const answer = await this.#fetch();
      const text = await answer.text();
      if (!current()) return "";
      const took = Math.round(performance.now() - started);
      this.#showAnswer(answer, text);
      const told = `${answer.status} ${answer.statusText}`.trim() + ` in ${took} ms.`;
      if (!answer.ok) throw new Refused(told, answer.status);
      return told;
    });
  }

  /** The answer, once there is a key if one is needed. */
  async #fetch() {
    for (;;) {
      const body = this.body === undefined ? {} : { body: this.input.value };
      const type = this.body === undefined ? {} : { "content-type": "application/json" };
      const options = { method: this.route.method, ...body, headers: { ...type, ...key.headers() } };
      const answer = await fetch(this.#url(), options).catch(() => {
        throw new Refused("The service can't be reached. Is it still running?", 0);
      });
      if (answer.status !== 401) return answer;
      await key.ask(messageOf(await answer.json().catch(() => ({}))));
      this.form.scrollIntoView({ block: "center" });
    }
  }

  #showAnswer(answer, text) {
    const headers = [...answer.headers].filter(([name]) => KEPT.test(name)).map(([name, value]) => `${name}: ${value}`);
    const box = el("details", { className: "nested" }, el("summary", {}, "Headers"), el("pre", { tabIndex: 0, "aria-label": "Headers" }, headers.join("\n")));
    this.answer.replaceChildren(el("pre", { tabIndex: 0, "aria-label": "Answer" }, readable(text)), box);
  }
}

function chosen() {
  const stored = localStorage.getItem(STORE);
  return stored in LANGUAGES ? stored : "curl";
}

function readable(text) {
  try {
    return shown(JSON.parse(text));
  } catch {
    return text.slice(0, 20_000);
  }
}

/** Of an error in any of the service's formats. */
function messageOf({ error }) {
  return error?.message ?? error ?? "This request needs an API key.";
}
