// Below a panel: what its last answer cost, its request as code, its vectors, and a link to it.

import { copyButton } from "./copy.js";
import { counted, el } from "./dom.js";
import * as key from "./key.js";
import { link } from "./kept.js";
import { curl, python, typescript } from "./snippets.js";
import { shown } from "./vectors.js";

const LANGUAGES = {
  curl: [curl, ""],
  Python: [python, "pip install ./clients/python, in a checkout of the service"],
  TypeScript: [typescript, "npm install the package that clients/typescript makes"],
};
const STORE = "embedding-service-language";

export class Foot {
  #buttons = {};
  #open = "";
  #lot = null;

  /**
   * @param {HTMLElement} panel
   * @param {() => import("./snippets.js").Request | null} request null while there is nothing to send
   * @param {{links?: boolean, failed?: (text: string) => void}} options
   */
  constructor(panel, request, { links = false, failed } = {}) {
    this.panel = panel;
    this.request = request;
    this.facts = el("p", { className: "facts" });
    this.drawer = el("div", { className: "drawer", id: `${panel.id}-drawer`, hidden: true });
    const tools = el("div", { className: "foot-tools" }, ...["Code", "Vectors"].map((name) => this.#toggle(name)));
    if (links) tools.append(copyButton("Copy link", () => link(panel.id), (error) => failed(error.message)));
    panel.append(el("div", { className: "foot" }, this.facts, tools), this.drawer);
    this.#buttons.Vectors.hidden = true;
    for (const kind of ["input", "change"])
      panel.addEventListener(kind, ({ target }) => !this.drawer.contains(target) && this.#open === "Code" && this.#fill());
  }

  /** @param {{model: string, space: string, items: {text: string, vector: Float32Array}[]} | null} lot the panel's vectors */
  show(lot, facts = "") {
    this.#lot = lot;
    this.facts.textContent = facts;
    this.#buttons.Vectors.hidden = !lot?.items.length;
    if (this.#open === "Vectors" && !lot?.items.length) this.#turn("Vectors");
    else this.#fill();
  }

  #toggle(name) {
    const button = el("button", { type: "button", className: "quiet", "aria-expanded": "false", "aria-controls": this.drawer.id }, name);
    button.addEventListener("click", () => this.#turn(name));
    this.#buttons[name] = button;
    return button;
  }

  #turn(name) {
    this.#open = this.#open === name ? "" : name;
    for (const [each, button] of Object.entries(this.#buttons)) button.setAttribute("aria-expanded", String(each === this.#open));
    this.drawer.hidden = !this.#open;
    this.#fill();
  }

  #fill() {
    if (this.#open === "Vectors") this.drawer.replaceChildren(...shown(this.panel.id, this.#lot));
    if (this.#open === "Code") this.#fillCode();
  }

  #fillCode() {
    const chosen = localStorage.getItem(STORE) ?? "curl";
    const [written, needs] = LANGUAGES[chosen] ?? LANGUAGES.curl;
    const request = this.request();
    const code = request ? written(request, key.given()) : "";
    const choices = Object.keys(LANGUAGES).map((name) => this.#choice(name, name === chosen));
    const box = el("fieldset", { className: "choices" }, el("legend", { className: "off-screen" }, "Language"), ...choices);
    const held = this.drawer.contains(document.activeElement) && document.activeElement.type === "radio";
    const head = el("div", { className: "drawer-head" }, box, ...(code ? [copyButton("Copy", () => code)] : []));
    const body = code
      ? el("pre", { tabIndex: 0, role: "region", "aria-label": `Request in ${chosen}` }, el("code", {}, code))
      : el("p", { className: "note" }, "There is nothing to send yet.");
    this.drawer.replaceChildren(head, body);
    if (needs && code) this.drawer.append(el("p", { className: "note" }, `Needs the client: ${needs}.`));
    if (held) this.drawer.querySelector("input:checked").focus();
  }

  #choice(name, checked) {
    const input = el("input", { type: "radio", name: `${this.panel.id}-language`, value: name, checked });
    input.addEventListener("change", () => {
      localStorage.setItem(STORE, name);
      this.#fillCode();
    });
    return el("label", {}, input, el("span", {}, name));
  }
}

/** "384 dimensions · 61 tokens · 5 of 6 from the cache", of all answers together. @param {import("./service.js").Embedded[]} answers */
export function facts(answers) {
  const sum = (of) => answers.reduce((total, answer) => total + of(answer), 0);
  const [tokens, hits, count] = [sum((it) => it.tokens), sum((it) => it.hits), sum((it) => it.vectors.length)];
  const parts = [counted(answers[0].vectors[0].length, "dimension")];
  if (tokens) parts.push(counted(tokens, "token"));
  return [...parts, `${hits.toLocaleString("en")} of ${count.toLocaleString("en")} from the cache`].join(" · ");
}
