// A table of similarities, coloured by value. Arrow keys move between cells; one cell at a time is in the tab order.

import { el, score } from "./dom.js";

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export class Heatmap {
  /** @param {HTMLTableElement} table @param {HTMLElement} readout says what the cell in hand compares */
  constructor(table, readout) {
    this.table = table;
    this.readout = readout;
    this.cells = [];
    table.addEventListener("keydown", (event) => this.#walk(event));
    for (const kind of ["focusin", "mouseover"]) table.addEventListener(kind, (event) => this.#read(event.target));
  }

  /** @param {string[]} texts @param {ArrayLike<number>[]} rows as many rows and columns as texts @param {Set<number>} cut those that were read in part */
  show(texts, rows, cut = new Set()) {
    this.texts = texts;
    this.rows = rows;
    this.table.dataset.size = texts.length <= 7 ? "few" : texts.length <= 14 ? "some" : "many";
    const numbers = texts.map((text, i) => el("th", { scope: "col", title: text }, String(i + 1)));
    this.cells = texts.map((_, i) => texts.map((_, j) => this.#cell(i, j)));
    const body = this.cells.map((cells, i) => el("tr", {}, name(i + 1, texts[i], cut.has(i)), ...cells));
    const corner = el("td", { className: "corner" });
    this.table.replaceChildren(el("thead", {}, el("tr", {}, corner, ...numbers)), el("tbody", {}, ...body));
    if (this.cells.length) this.cells[0][0].tabIndex = 0;
    this.readout.textContent = "Point at a cell, or go there with the arrow keys, to read which two it compares.";
  }

  #cell(i, j) {
    const value = this.rows[i][j];
    const label = `${score(value)}: ${this.texts[i]} / ${this.texts[j]}`;
    const cell = el("td", { role: "gridcell", tabIndex: -1, "aria-label": label }, el("span", {}, score(value)));
    cell.dataset.level = String(Math.round(Math.min(Math.max(value, 0), 1) * 10));
    cell.dataset.place = `${i},${j}`;
    return cell;
  }

  #place(target) {
    return target.closest?.("td[data-place]")?.dataset.place.split(",").map(Number);
  }

  #read(target) {
    const place = this.#place(target);
    if (!place) return;
    const [i, j] = place;
    const text = i === j ? `${i + 1} is itself: “${this.texts[i]}”` : `“${this.texts[i]}” and “${this.texts[j]}”`;
    this.readout.replaceChildren(el("strong", {}, score(this.rows[i][j])), ` ${text}`);
  }

  #walk(event) {
    const step = STEPS[event.key];
    const place = this.#place(event.target);
    if (!step || !place) return;
    event.preventDefault();
    const next = this.cells[place[0] + step[0]]?.[place[1] + step[1]];
    if (!next) return;
    this.cells[place[0]][place[1]].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

function name(number, text, cut) {
  const words = el("span", { className: "words" }, text);
  const mark = cut ? [el("span", { className: "cut" }, "end not read")] : [];
  return el("th", { scope: "row", title: text }, el("span", { className: "number" }, String(number)), ...mark, words);
}
