// Vectors to look at and to download.

import { written } from "../math/csv.js";
import { npy } from "../math/npy.js";
import { counted, el } from "./dom.js";

const MOST = 50;
const NUMBERS = 4;
// They read well on light and dark ground.
const [ABOVE, BELOW] = ["#1f93a8", "#d9742b"];
const TYPES = { json: "application/json", csv: "text/csv", npy: "application/octet-stream" };

/** @param {string} name of the files @param {{model: string, space: string, items: {text: string, vector: Float32Array}[]}} lot */
export function shown(name, lot) {
  const { items, space } = lot;
  const size = items[0].vector.length;
  const about = el("p", { className: "note" }, `${counted(items.length, "vector")} of ${size} numbers in the space ${space}.`);
  const buttons = Object.keys(FORMATS).map((suffix) => {
    const button = el("button", { type: "button", className: "quiet", "aria-label": `Download as ${suffix}` }, suffix === "npy" ? suffix : suffix.toUpperCase());
    button.addEventListener("click", () => save(`${name}.${suffix}`, FORMATS[suffix](lot), TYPES[suffix]));
    return button;
  });
  const rows = items.slice(0, MOST).map(row);
  const list = el("ol", { className: "vectors", tabIndex: 0, role: "region", "aria-label": "Vectors" }, ...rows);
  const head = el("div", { className: "drawer-head" }, about, el("div", { className: "foot-tools" }, ...buttons));
  if (items.length <= MOST) return [head, list];
  return [head, list, el("p", { className: "note" }, `The first ${MOST} are shown; files have all ${items.length.toLocaleString("en")}.`)];
}

// 9 digits tell any two numbers of 32 bits apart.
const number = (value) => Number(value.toPrecision(9));
const FORMATS = {
  json: ({ model, space, items }) =>
    JSON.stringify({ model, space, dimensions: items[0].vector.length, items: items.map(({ text, vector }) => ({ text, vector: Array.from(vector, number) })) }),
  csv: ({ items }) =>
    written([["text", ...Array.from(items[0].vector, (_, i) => `v${i}`)], ...items.map(({ text, vector }) => [text, ...Array.from(vector, number)])]),
  npy: ({ items }) => npy(items.map(({ vector }) => vector)),
};

function save(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url));
}

function row({ text, vector }) {
  const first = Array.from(vector.subarray(0, NUMBERS), (value) => value.toFixed(3).replace("-", "−").padStart(6)).join(" ");
  return el("li", {}, el("span", { className: "name", title: text }, text), strip(vector), el("code", {}, `${first} …`));
}

/** One stripe a number: its colour says the sign, its strength the size. */
function strip(vector) {
  const canvas = el("canvas", { width: vector.length, height: 1, className: "strip", role: "img", "aria-label": "The vector as stripes" });
  const pen = canvas.getContext("2d");
  const most = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  vector.forEach((value, i) => {
    pen.globalAlpha = Math.abs(value) / most;
    pen.fillStyle = value < 0 ? BELOW : ABOVE;
    pen.fillRect(i, 0, 1, 1);
  });
  return canvas;
}
