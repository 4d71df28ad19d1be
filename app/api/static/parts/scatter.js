// The map's picture. Arrow keys: left and right visit all points in order, up and down move to a near point.

import { labelled, nearest, neighbour, View, within } from "../math/view.js";
import { shortened } from "./dom.js";
import { listen } from "./gestures.js";
import { colours, Pen } from "./pen.js";

const ALONG = { ArrowLeft: -1, ArrowRight: 1 };
const ACROSS = { ArrowUp: -1, ArrowDown: 1 };
const ZOOM = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 };
// A fingertip covers more than a mouse's arrow does.
const [REACH, TOUCH, STACK] = [14, 24, 8];
// All of a few points are labelled; of many some, and more the nearer one looks.
const [FEW, MOST_LABELS] = [40, 10];

export class Scatter {
  #frame = 0;

  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} tip both children of one positioned box @param {(index: number, stack: number[]) => void} chosen */
  constructor(canvas, tip, chosen) {
    [this.canvas, this.tip, this.chosen] = [canvas, tip, chosen];
    this.view = new View();
    this.pen = new Pen(canvas, () => this.#later());
    this.points = [];
    this.links = [];
    [this.selected, this.current, this.hovered] = [-1, 0, -1];
    canvas.addEventListener("keydown", (event) => this.#press(event));
    canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && this.#tell(this.current));
    canvas.addEventListener("blur", () => this.#tell(-1));
    listen(canvas, {
      pan: (x, y) => this.#change(() => this.view.move(x, y)),
      zoom: (factor, x, y) => this.#change(() => this.view.zoomBy(factor, x, y)),
      choose: (x, y, touch) => this.#choose(within(this.places, x, y, touch ? TOUCH : REACH)),
      point: (x, y) => this.#tell(within(this.places, x, y, REACH)[0] ?? -1),
      leave: () => this.#tell(-1),
    });
    new ResizeObserver(() => this.#fit()).observe(canvas.parentElement);
    const recolour = () => ((this.colours = null), this.#later());
    new MutationObserver(recolour).observe(document.documentElement, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  }

  /** @param {{x: number, y: number, group: number, kind: string, text: string, picture?: string, first?: boolean}[]} points `first`: is labelled before others */
  show(points) {
    this.points = points;
    this.order = points.map((_, i) => i).sort((a, b) => rank(points[a]) - rank(points[b]) || a - b);
    [this.selected, this.current, this.links] = [-1, Math.min(this.current, points.length - 1), []];
    this.#fit();
  }

  /** Shows a point and its neighbours. */
  select(index, links = []) {
    [this.selected, this.links] = [index, links];
    if (index >= 0) {
      this.current = index;
      this.view.reveal(this.places[index]);
    }
    this.#change(() => {});
  }

  zoom(factor) {
    this.#change(() => (factor ? this.view.zoomBy(factor) : Object.assign(this.view, { zoom: 1, offset: [0, 0] })));
  }

  #fit() {
    const width = this.canvas.parentElement.clientWidth;
    if (!this.points.length || width === 0) return;
    const height = Math.round(Math.min(Math.max(width * 0.6, 300), 480));
    this.pen.size(width, height);
    this.view.fit(this.points.map(({ x, y }) => [x, y]), width, height);
    this.#change(() => {});
  }

  #change(change) {
    if (!this.view.points) return;
    change();
    this.places = this.view.places();
    this.canvas.dataset.zoom = this.view.zoom.toFixed(2);
    // One finger scrolls the page while the whole map is seen.
    this.canvas.style.touchAction = this.view.zoom > 1 ? "none" : "pan-y";
    this.#tell(-1);
    this.#later();
  }

  #later() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    if (!this.places?.length) return;
    this.colours ??= colours(this.canvas);
    const { pen, places, points } = this;
    const near = new Set([this.selected, ...this.links]);
    pen.begin(this.colours, points.length <= 4 * FEW ? 6.5 : Math.min(3.5 * Math.sqrt(this.view.zoom), 6.5));
    for (const i of this.links) pen.line(places[this.selected], places[i]);
    points.forEach((point, i) => pen.point(point, places[i], this.selected >= 0 && !near.has(i)));
    for (const i of new Set([this.selected, this.hovered])) if (i >= 0) pen.ring(places[i], points[i]);
    const order = this.selected >= 0 ? [this.selected, ...this.links] : this.order;
    const label = (i) => shortened(points[i].text, 28);
    const seen = order.filter((i) => places[i][0] > 0 && places[i][0] < this.view.width && places[i][1] > 0 && places[i][1] < this.view.height);
    const found = labelled(seen.slice(0, 400), places, (i) => pen.width(label(i)), this.view.width, this.view.height, points.length <= FEW ? FEW : Math.min(MOST_LABELS * this.view.zoom, FEW));
    for (const { index, x, y } of found) pen.label(label(index), x, y);
  }

  /** A click where points lie upon each other goes from one to the next. */
  #choose(stack) {
    if (stack.length === 0) return this.chosen(-1, []);
    const same = stack.filter((i) => Math.hypot(...this.places[i].map((at, axis) => at - this.places[stack[0]][axis])) <= STACK);
    const now = same.indexOf(this.selected);
    return this.chosen(same[(now + 1) % same.length], same);
  }

  #tell(index) {
    const point = this.points[index];
    if (this.hovered !== index) this.#later();
    this.hovered = index;
    this.tip.hidden = !point;
    this.canvas.classList.toggle("is-over", Boolean(point));
    if (!point) return;
    const [x, y] = this.places[index];
    const under = within(this.places, x, y, STACK).length - 1;
    this.tip.textContent = `${point.text} · group ${point.group + 1}${under ? ` · ${under} more here` : ""}`;
    const room = this.view.width - this.tip.offsetWidth;
    this.tip.style.left = `${Math.min(Math.max(x - this.tip.offsetWidth / 2, 0), Math.max(room, 0))}px`;
    const above = y - this.tip.offsetHeight - 16;
    this.tip.style.top = `${above >= 0 ? above : y + 16}px`;
  }

  #press(event) {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || !this.places) return;
    let to = -2;
    if (ALONG[key]) to = neighbour(this.places, this.current, ALONG[key]);
    else if (ACROSS[key]) to = nearest(this.places, this.current, ACROSS[key]);
    else if (ZOOM[key]) this.#change(() => this.view.zoomBy(ZOOM[key], ...this.places[this.current]));
    else if (key === "0") this.zoom();
    else if (key === "Enter" || key === " ") this.chosen(this.current, within(this.places, ...this.places[this.current], STACK));
    else if (key === "Escape") this.chosen(-1, []);
    else return;
    event.preventDefault();
    if (to < 0) return;
    this.current = to;
    this.#change(() => this.view.reveal(this.places[to]));
    this.#tell(to);
  }
}

/** Queries and each group's most typical item are labelled first. */
const rank = ({ kind, first }) => (kind === "query" ? 0 : first ? 1 : 2);
