// How many groups vectors fall into, by the silhouette: how much nearer items are to their own group than to the next.

import { groups } from "./kmeans.js";
import { seeded } from "./random.js";

const SAMPLE = 300;

/** @param {Float64Array[]} distances n rows of n @param {number[]} labels @returns {number} -1 to 1; 0 for one group */
export function silhouette(distances, labels) {
  const count = Math.max(...labels) + 1;
  if (count < 2) return 0;
  const sizes = new Array(count).fill(0);
  for (const label of labels) sizes[label]++;
  let total = 0;
  labels.forEach((own, i) => {
    // An item that is alone in its group counts for nothing.
    if (sizes[own] === 1) return;
    const sums = new Float64Array(count);
    labels.forEach((label, j) => (sums[label] += distances[i][j]));
    const inside = sums[own] / (sizes[own] - 1);
    const outside = Math.min(...sizes.flatMap((size, label) => (label === own ? [] : [sums[label] / size])));
    total += (outside - inside) / Math.max(inside, outside, 1e-12);
  });
  return total / labels.length;
}

/** The number of groups, from 2 to `most`, whose silhouette is largest; of many vectors a sample decides. */
export function suggest(vectors, most) {
  const sample = drawn(vectors);
  const distances = sample.map((a) => Float64Array.from(sample, (b) => distance(a, b)));
  let best = { count: 2, value: -Infinity };
  for (let count = 2; count <= Math.min(most, sample.length - 1); count++) {
    const value = silhouette(distances, groups(sample, count));
    if (value > best.value + 1e-9) best = { count, value };
  }
  return best.count;
}

/** Not each seventh: where lines take turns that would leave groups out. */
function drawn(vectors) {
  if (vectors.length <= SAMPLE) return vectors;
  const random = seeded(5);
  const left = [...vectors];
  return Array.from({ length: SAMPLE }, () => left.splice(Math.floor(random() * left.length), 1)[0]);
}

function distance(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum);
}
