// Chooses the model of a panel; not shown where there is only one.

import { byId, el } from "./dom.js";
import { keep, last } from "./kept.js";

export class Picker {
  #shown = "";

  /** @param {string} id of the select @param {string[]} kinds of models that suit the panel @param {() => void} changed */
  constructor(id, kinds, changed) {
    this.select = byId(id);
    this.kinds = kinds;
    this.wanted = last(id);
    keep(id, "");
    this.select.addEventListener("change", () => {
      this.wanted = this.select.value;
      changed();
    });
  }

  /** The chosen model; undefined until the models are known: the service takes its default. */
  get model() {
    return this.select.value || undefined;
  }

  /** @param {object[]} details of `/health` */
  serve(details) {
    const models = details.filter(({ kind }) => this.kinds.includes(kind));
    const shown = JSON.stringify(models.map(({ id, status }) => [id, status]));
    if (shown === this.#shown) return;
    this.#shown = shown;
    const options = models.map(({ id, status }) =>
      el("option", { value: id, disabled: status !== "ready" }, id.split("/").at(-1) + (status === "ready" ? "" : ` (${status})`)));
    this.select.replaceChildren(...options);
    const ready = models.filter(({ status }) => status === "ready");
    this.select.value = (ready.find(({ id }) => id === this.wanted) ?? ready[0])?.id ?? "";
    this.select.closest("label").hidden = models.length < 2;
  }
}
