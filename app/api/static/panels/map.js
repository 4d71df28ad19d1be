// A map of all items that were embedded on the page.

import { groups } from "../math/kmeans.js";
import { project } from "../math/pca.js";
import { byId, counted, el, shortened } from "../parts/dom.js";
import { Scatter } from "../parts/scatter.js";

const LEAST = 3;

export function setUp(items) {
  const scatter = new Scatter(byId("map-plot"), byId("map-tip"));
  const range = byId("map-groups");
  let chosen = null;

  function draw() {
    const spaces = items.bySpace();
    const entry = spaces.find(({ space }) => space === chosen) ?? spaces[0];
    choices(spaces, entry);
    byId("map-groups-value").textContent = range.value;
    const enough = (entry?.items.length ?? 0) >= LEAST;
    byId("map-figure").hidden = !enough;
    byId("map-empty").hidden = enough;
    if (!enough) return;
    const vectors = entry.items.map(({ vector }) => unit(vector));
    const { points, explained } = project(vectors);
    const labels = groups(vectors, Number(range.value));
    const marks = entry.items.map((item, i) => ({ ...item, x: points[i][0], y: points[i][1], group: labels[i] }));
    scatter.show(marks);
    legend(marks, vectors);
    const share = Math.round((explained[0] + explained[1]) * 100);
    byId("map-words").textContent =
      `${counted(marks.length, "item")} of ${entry.model}. Two of the vectors’ directions, the two that differ most, show ${share}% of how they differ.`;
  }

  /** One choice a vector space; they don't share a map. */
  function choices(spaces, entry) {
    const box = byId("map-spaces");
    box.hidden = spaces.length < 2;
    const held = box.contains(document.activeElement);
    box.replaceChildren(
      el("legend", {}, "Vectors of"),
      ...spaces.map(({ space, model }) => {
        const input = el("input", { type: "radio", name: "space", value: space, checked: space === entry.space });
        input.addEventListener("change", () => {
          chosen = space;
          draw();
        });
        return el("label", {}, input, el("span", {}, model.split("/").at(-1)));
      }),
    );
    if (held) box.querySelector("input:checked")?.focus();
  }

  range.addEventListener("input", draw);
  items.addEventListener("change", draw);
}

/** Each group by the item that lies nearest to its middle. */
function legend(marks, vectors) {
  const count = Math.max(...marks.map(({ group }) => group)) + 1;
  const entries = Array.from({ length: count }, (_, group) => {
    const members = marks.flatMap((mark, i) => (mark.group === group ? [i] : []));
    const middle = vectors[0].map((_, d) => members.reduce((sum, i) => sum + vectors[i][d], 0) / members.length);
    const gap = (i) => vectors[i].reduce((sum, value, d) => sum + (value - middle[d]) ** 2, 0);
    const nearest = members.reduce((best, i) => (gap(i) < gap(best) ? i : best));
    const swatch = el("span", { className: `swatch group-${group + 1}`, "aria-hidden": "true" });
    return el("li", {}, swatch, el("span", { className: "count" }, String(members.length)), shortened(marks[nearest].text, 64));
  });
  byId("map-legend").replaceChildren(...entries);
}

function unit(vector) {
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}
