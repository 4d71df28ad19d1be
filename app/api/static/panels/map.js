// A map of all items that were embedded on the page.

import { ranked } from "../math/cosine.js";
import { byId, counted, el, score, shortened } from "../parts/dom.js";
import { Foot } from "../parts/foot.js";
import { Mapper } from "../parts/mapper.js";
import { Scatter } from "../parts/scatter.js";

const LEAST = 3;
const NEIGHBOURS = 6;

export function setUp(items) {
  const scatter = new Scatter(byId("map-plot"), byId("map-tip"), choose);
  const mapper = new Mapper(show);
  const foot = new Foot(byId("map"), () => (shown?.items.length ? { texts: shown.items.filter(({ picture }) => !picture).map(({ text }) => text), model: shown.model } : null));
  const range = byId("map-groups");
  let space = null;
  let shown = null;
  let wanted = null;

  function update() {
    const spaces = items.bySpace();
    const entry = spaces.find((one) => one.space === space) ?? spaces[0];
    choices(spaces, entry);
    const enough = (entry?.items.length ?? 0) >= LEAST;
    byId("map-figure").hidden = !enough;
    byId("map-empty").hidden = enough;
    shown = enough ? entry : null;
    foot.show(shown);
    if (!enough) return mapper.stop();
    wanted = null;
    byId("map-words").textContent = "Drawing the map …";
    return mapper.draw(entry.items.map(({ vector }) => unit(vector)), shown);
  }

  /** What the worker has found. */
  function show({ points, explained, labels, typical, suggested }, entry) {
    if (entry !== shown) return;
    const count = Math.max(...labels) + 1;
    range.value = String(count);
    range.max = String(Math.min(8, Math.max(entry.items.length - 1, 2)));
    byId("map-groups-value").textContent = wanted === null ? `${count}, as suggested` : String(count);
    byId("map-suggest").hidden = wanted === null || wanted === suggested;
    const marks = entry.items.map((item, i) => ({ ...item, x: points[i][0], y: points[i][1], group: labels[i], first: typical.includes(i) }));
    choose(-1, []);
    scatter.show(marks);
    legend(marks, typical);
    const share = Math.round((explained[0] + explained[1]) * 100);
    byId("map-words").textContent =
      `${counted(marks.length, "item")} of ${entry.model}. Two of the vectors’ directions, the two that differ most, show ${share}% of how they differ.`;
  }

  /** Shows an item's nearest by all directions, not only by the two that are drawn. */
  function choose(index, stack) {
    byId("map-chosen").hidden = index < 0;
    if (index < 0) return scatter.select(-1);
    const { items } = shown;
    const found = ranked(items[index].vector, items.map(({ vector }) => vector)).filter((one) => one.index !== index).slice(0, NEIGHBOURS);
    byId("map-chosen-title").textContent = shortened(items[index].text, 120);
    byId("map-stack").textContent = stack.length > 1 ? `${stack.indexOf(index) + 1} of ${stack.length} that lie here: click again for the next.` : "";
    byId("map-neighbours").replaceChildren(
      ...found.map((one) => {
        const button = el("button", { type: "button" }, el("span", { className: "score" }, score(one.score)), el("span", {}, shortened(items[one.index].text, 90)));
        button.addEventListener("click", () => choose(one.index, []));
        return el("li", {}, button);
      }),
    );
    return scatter.select(index, found.map((one) => one.index));
  }

  /** One choice a vector space; they don't share a map. */
  function choices(spaces, entry) {
    const box = byId("map-spaces");
    box.hidden = spaces.length < 2;
    const held = box.contains(document.activeElement);
    box.replaceChildren(
      el("legend", {}, "Vectors of"),
      ...spaces.map((one) => {
        const input = el("input", { type: "radio", name: "space", value: one.space, checked: one.space === entry.space });
        input.addEventListener("change", () => {
          space = one.space;
          update();
        });
        return el("label", {}, input, el("span", {}, one.model.split("/").at(-1)));
      }),
    );
    if (held) box.querySelector("input:checked")?.focus();
  }

  const group = (count) => {
    wanted = count;
    mapper.group(count, shown);
  };
  range.addEventListener("input", () => group(Number(range.value)));
  byId("map-suggest").addEventListener("click", () => group(null));
  byId("map-in").addEventListener("click", () => scatter.zoom(1.6));
  byId("map-out").addEventListener("click", () => scatter.zoom(1 / 1.6));
  byId("map-all").addEventListener("click", () => scatter.zoom());
  byId("map-close").addEventListener("click", () => choose(-1, []));
  items.addEventListener("change", update);
}

/** Each group by its most typical item. */
function legend(marks, typical) {
  const entries = typical.map((index, group) => {
    const count = marks.filter((mark) => mark.group === group).length;
    const swatch = el("span", { className: `swatch group-${group + 1}`, "aria-hidden": "true" });
    return el("li", {}, swatch, el("span", { className: "count" }, String(count)), shortened(marks[index].text, 64));
  });
  byId("map-legend").replaceChildren(...entries);
}

function unit(vector) {
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}
