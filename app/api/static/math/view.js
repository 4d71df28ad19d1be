// Which part of a plane is seen: zoom and pan, and what lies where.

const MARGIN = 34;
const [LEAST, MOST] = [1, 40];

/** A view on points in a box of pixels. Both axes have one scale, so that distances are what they seem. */
export class View {
  zoom = 1;
  offset = [0, 0];

  /** @param {[number, number][]} points @param {number} width @param {number} height */
  fit(points, width, height) {
    const of = (axis) => points.map((point) => point[axis]);
    const range = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    const [[left, right], [low, high]] = [range(of(0)), range(of(1))];
    [this.points, this.width, this.height] = [points, width, height];
    this.middle = [(left + right) / 2, (low + high) / 2];
    // Points on one line need no height; of points on one spot any scale is right.
    const scale = Math.min((width - 2 * MARGIN) / (right - left), (height - 2 * MARGIN) / (high - low));
    this.scale = Number.isFinite(scale) ? scale : 1;
    this.move(0, 0);
  }

  /** Where each point is seen, in pixels. */
  places() {
    const scale = this.scale * this.zoom;
    const [x, y] = [this.width / 2 + this.offset[0], this.height / 2 + this.offset[1]];
    return this.points.map((point) => [x + (point[0] - this.middle[0]) * scale, y - (point[1] - this.middle[1]) * scale]);
  }

  /** The place at (x, y) stays where it is. */
  zoomBy(factor, x = this.width / 2, y = this.height / 2) {
    const zoom = Math.min(Math.max(this.zoom * factor, LEAST), MOST);
    const grown = zoom / this.zoom;
    const from = [x - this.width / 2, y - this.height / 2];
    this.zoom = zoom;
    this.offset = this.offset.map((offset, axis) => from[axis] + (offset - from[axis]) * grown);
    this.move(0, 0);
  }

  /** Not further than to the plane's edge. */
  move(x, y) {
    const room = [this.width, this.height].map((size) => (size / 2) * (this.zoom - 1));
    this.offset = [this.offset[0] + x, this.offset[1] + y].map((value, axis) => Math.min(Math.max(value, -room[axis]), room[axis]));
  }

  /** Moves a place into sight. */
  reveal([x, y]) {
    const inside = (at, size) => Math.min(Math.max(at, MARGIN), size - MARGIN) - at;
    this.move(inside(x, this.width), inside(y, this.height));
  }
}

/** Those within reach of (x, y), nearest first. */
export function within(places, x, y, reach) {
  const gaps = places.map(([u, v], i) => [Math.hypot(u - x, v - y), i]);
  return gaps.filter(([gap]) => gap <= reach).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, i]) => i);
}

/** The next point to the right (1) or left (-1), so that none is out of reach; -1 where there is none. */
export function neighbour(places, from, step) {
  const order = places.map((_, i) => i).sort((a, b) => places[a][0] - places[b][0] || a - b);
  return order[order.indexOf(from) + step] ?? -1;
}

/** A point below (1) or above (-1) that is near and not far to the side; -1 where there is none. */
export function nearest(places, from, down) {
  let best = -1;
  let least = Infinity;
  places.forEach(([x, y], i) => {
    const along = (y - places[from][1]) * down;
    const far = along + 2 * Math.abs(x - places[from][0]);
    if (along > 0.5 && far < least) [best, least] = [i, far];
  });
  return best;
}

/** Of labels, most important first, those that find room beside their points: `[{index, x, y}]`, the left end's middle. */
export function labelled(order, places, widths, width, height, most) {
  const [GAP, HIGH] = [12, 16];
  const taken = [];
  const free = (x, y, w) =>
    x >= 2 && x + w <= width - 2 && y >= HIGH / 2 && y <= height - HIGH / 2 &&
    taken.every(([u, v, t]) => Math.abs(v - y) >= HIGH || u >= x + w + 6 || u + t + 6 <= x);
  const found = [];
  for (const index of order) {
    if (found.length >= most) break;
    const [x, y] = places[index];
    const w = widths(index);
    const side = [[x + GAP, y], [x - GAP - w, y], [x - w / 2, y - 18], [x - w / 2, y + 18]].find(([u, v]) => free(u, v, w));
    if (!side) continue;
    taken.push([...side, w]);
    found.push({ index, x: side[0], y: side[1] });
  }
  return found;
}
