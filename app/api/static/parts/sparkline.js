// A small line chart without axes; the newest value is on the right.

import { svg } from "./dom.js";

const [WIDTH, HEIGHT] = [120, 36];

/**
 * @param {SVGElement} chart
 * @param {(number | null)[][]} series of equal length, oldest first; null leaves a gap
 * @param {number} length how many values fit
 * @param {number} ceiling the least value that the top stands for
 */
export function draw(chart, series, length, ceiling = 0) {
  chart.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  chart.setAttribute("preserveAspectRatio", "none");
  const known = series.flat().filter((value) => value !== null);
  const top = Math.max(ceiling, ...known) * 1.08 || 1;
  const step = WIDTH / (length - 1);
  const lines = series.map((values, i) => {
    const offset = length - values.length;
    const points = values.map((value, j) => value === null ? null : [(offset + j) * step, HEIGHT - 1 - (value / top) * (HEIGHT - 2)]);
    return svg("path", { class: `line line-${i + 1}`, d: path(points) });
  });
  chart.replaceChildren(svg("g", { class: "moving" }, ...lines));
}

/** Straight lines, interrupted at each gap; a lone value is a short dash. */
function path(points) {
  let drawn = "";
  points.forEach((point, i) => {
    if (point === null) return;
    const [x, y] = point.map((value) => Number(value.toFixed(2)));
    drawn += `${i > 0 && points[i - 1] ? "L" : "M"}${x} ${y}`;
    if (!points[i - 1] && !points[i + 1]) drawn += "h.5";
  });
  return drawn;
}
