// A scatter plot that shows a point's text on hover and focus. Left and right visit all points in order; up and down
// move to a near point.

import { svg } from "./dom.js";

const MARGIN = 34;
const ALONG = { ArrowLeft: -1, ArrowRight: 1 };
const ACROSS = { ArrowUp: -1, ArrowDown: 1 };
const PICTURE = 34;

export class Scatter {
  /** @param {SVGElement} plot @param {HTMLElement} tip both children of one positioned box */
  constructor(plot, tip) {
    this.plot = plot;
    this.tip = tip;
    this.marks = [];
    plot.addEventListener("keydown", (event) => this.#walk(event));
    plot.addEventListener("focusin", (event) => this.#tell(event.target));
    plot.addEventListener("focusout", () => this.#hide());
    plot.addEventListener("pointerover", (event) => this.#tell(event.target));
    plot.addEventListener("pointerout", () => this.#hide());
    new ResizeObserver(() => this.#draw()).observe(plot.parentElement);
  }

  /** @param {{x: number, y: number, group: number, kind: string, text: string, picture?: string}[]} points */
  show(points) {
    this.points = points;
    this.#draw();
  }

  #draw() {
    const width = this.plot.parentElement.clientWidth;
    if (!this.points || width === 0) return;
    const height = Math.round(Math.min(Math.max(width * 0.6, 280), 460));
    this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const held = this.marks.indexOf(document.activeElement);
    this.places = placed(this.points, width, height);
    this.marks = this.points.map((point, i) => mark(point, this.places[i]));
    this.plot.replaceChildren(...this.marks);
    this.#hide();
    const first = this.marks[Math.max(held, 0)];
    first?.setAttribute("tabindex", "0");
    if (held >= 0) first?.focus();
  }

  #tell(target) {
    const at = this.marks.indexOf(target.closest?.(".point"));
    if (at < 0) return;
    const [x, y] = this.places[at];
    this.tip.textContent = `${this.points[at].text} · group ${this.points[at].group + 1}`;
    this.tip.hidden = false;
    const room = this.plot.parentElement.clientWidth - this.tip.offsetWidth;
    this.tip.style.setProperty("left", `${Math.min(Math.max(x - this.tip.offsetWidth / 2, 0), Math.max(room, 0))}px`);
    const above = y - this.tip.offsetHeight - 16;
    this.tip.style.setProperty("top", `${above >= 0 ? above : y + 16}px`);
  }

  #hide() {
    this.tip.hidden = true;
  }

  #walk(event) {
    const [along, across] = [ALONG[event.key], ACROSS[event.key]];
    const from = this.marks.indexOf(event.target.closest?.(".point"));
    if (!(along || across) || from < 0) return;
    event.preventDefault();
    const to = along ? neighbour(this.places, from, along) : nearest(this.places, from, across);
    if (to < 0) return;
    this.marks[from].setAttribute("tabindex", "-1");
    this.marks[to].setAttribute("tabindex", "0");
    this.marks[to].focus();
  }
}

/** Both axes on one scale, so that distances are what they seem. */
function placed(points, width, height) {
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((width - 2 * MARGIN) / (right - left || 1), (height - 2 * MARGIN) / (high - low || 1));
  return points.map(({ x, y }) => [
    width / 2 + (x - (left + right) / 2) * scale,
    height / 2 - (y - (low + high) / 2) * scale,
  ]);
}

function mark(point, [x, y]) {
  const about = {
    class: `point group-${point.group + 1}`,
    role: "img",
    tabindex: "-1",
    "aria-label": `${point.text}, ${point.kind}, group ${point.group + 1}`,
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
  };
  const reach = svg("circle", { class: "reach", r: point.picture ? 26 : 17 });
  return svg("g", about, reach, ...shape(point));
}

function shape({ kind, picture }) {
  const half = PICTURE / 2;
  const square = { x: -half, y: -half, width: PICTURE, height: PICTURE };
  if (picture)
    return [svg("image", { ...square, href: picture, preserveAspectRatio: "xMidYMid slice" }), svg("rect", { ...square, rx: 3, class: "frame" })];
  if (kind === "query") return [svg("path", { d: "M0-9 9 0 0 9-9 0Z", class: "dot" })];
  return [svg("circle", { r: 7, class: "dot" })];
}

/** The next point to the right (1) or left (-1), so that none is out of reach; -1 where there is none. */
function neighbour(places, from, step) {
  const order = places.map((_, i) => i).sort((a, b) => places[a][0] - places[b][0] || a - b);
  return order[order.indexOf(from) + step] ?? -1;
}

/** A point below (1) or above (-1) that is near and not far to the side; -1 where there is none. */
function nearest(places, from, down) {
  let best = -1;
  let least = Infinity;
  places.forEach(([x, y], i) => {
    const along = (y - places[from][1]) * down;
    const far = along + 2 * Math.abs(x - places[from][0]);
    if (along > 0.5 && far < least) [best, least] = [i, far];
  });
  return best;
}
