// Chooses which column of a table is searched; the others are shown with what is found.

import { longest } from "../math/csv.js";
import { el, shortened } from "./dom.js";
import { passages } from "./passages.js";

export class Columns {
  #rows = new Map();

  /** @param {HTMLFieldSetElement} box @param {(text: string) => void} chosen gets a column's cells, one a line */
  constructor(box, chosen) {
    this.box = box;
    this.chosen = chosen;
  }

  /** @param {{header: string[], rows: string[][]} | null} table */
  show(table) {
    this.box.hidden = !table;
    this.#rows.clear();
    if (!table) return;
    const start = longest(table);
    const choices = table.header.map((name, column) => {
      const input = el("input", { type: "radio", name: "column", checked: column === start });
      input.addEventListener("change", () => this.#choose(table, column));
      return el("label", {}, input, el("span", {}, shortened(name, 30)));
    });
    this.box.replaceChildren(el("legend", {}, "Search the column"), ...choices);
    this.#choose(table, start);
  }

  /** "name: Ada · year: 1843": the other cells of a passage's row; "" where it comes from no table. */
  beside(passage) {
    return this.#rows.get(passage) ?? "";
  }

  #choose({ header, rows }, column) {
    this.#rows.clear();
    const cells = rows.map((row) => row[column].replace(/\s+/g, " ").trim());
    rows.forEach((row, i) => {
      const others = header.flatMap((name, j) => (j !== column && row[j].trim() ? [`${name}: ${shortened(row[j], 60)}`] : []));
      // A long cell is searched in parts; of equal cells the first is found.
      for (const part of passages(cells[i])) if (!this.#rows.has(part)) this.#rows.set(part, others.join(" · "));
    });
    this.chosen(cells.filter(Boolean).join("\n"));
  }
}
