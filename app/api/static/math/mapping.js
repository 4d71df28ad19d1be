// A worker that computes the map, so that the page stays smooth: the plane, the groups and their typical items.

import { groups } from "./kmeans.js";
import { project } from "./pca.js";
import { suggest } from "./silhouette.js";

const MOST_GROUPS = 8;
let known = null;

/** The data: `{id, vectors, size, count}`; without vectors those of the last message, without a count as suggested. */
addEventListener("message", ({ data: { id, vectors, size, count } }) => {
  if (vectors) known = read(vectors, size);
  const labels = groups(known.rows, count ?? known.suggested);
  postMessage({ id, labels, typical: typical(known.rows, labels), ...known, rows: undefined });
});

function read(vectors, size) {
  const rows = Array.from({ length: vectors.length / size }, (_, i) => vectors.subarray(i * size, (i + 1) * size));
  return { rows, ...project(rows), suggested: suggest(rows, MOST_GROUPS) };
}

/** For each group the item nearest to its middle. */
function typical(rows, labels) {
  return Array.from({ length: Math.max(...labels) + 1 }, (_, group) => {
    const members = labels.flatMap((label, i) => (label === group ? [i] : []));
    const middle = new Float64Array(rows[0].length);
    for (const i of members) rows[i].forEach((value, d) => (middle[d] += value / members.length));
    const gap = (i) => rows[i].reduce((sum, value, d) => sum + (value - middle[d]) ** 2, 0);
    return members.map((i) => [gap(i), i]).reduce((best, it) => (it[0] < best[0] ? it : best))[1];
  });
}
