// k-means clustering of vectors.

import { seeded } from "./random.js";

const ROUNDS = 60;
const STARTS = 6;
// Of many vectors fewer starts are tried, so that a large map takes about a second.
const MANY = 500;

/**
 * A group's number for each vector, from 0, in order of first appearance; the same for the same input.
 * @param {ArrayLike<number>[]} vectors
 * @param {number} k how many groups; fewer where there are fewer different vectors
 * @returns {number[]}
 */
export function groups(vectors, k, seed = 1) {
  if (vectors.length === 0) return [];
  const random = seeded(seed);
  let best = null;
  for (let start = 0; start < (vectors.length > MANY ? 2 : STARTS); start++) {
    const found = settle(vectors, spread(vectors, k, random));
    if (best === null || found.error < best.error) best = found;
  }
  return inOrder(best.labels);
}

function squared(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}

/** First centres, far from each other with high probability (k-means++). */
function spread(vectors, k, random) {
  const centres = [vectors[Math.floor(random() * vectors.length)]];
  const gaps = vectors.map((vector) => squared(vector, centres[0]));
  while (centres.length < k) {
    let left = random() * gaps.reduce((sum, gap) => sum + gap, 0);
    if (left <= 0) break;
    let chosen = gaps.findIndex((gap) => (left -= gap) < 0);
    if (chosen < 0) chosen = gaps.indexOf(Math.max(...gaps));
    centres.push(vectors[chosen]);
    vectors.forEach((vector, i) => (gaps[i] = Math.min(gaps[i], squared(vector, vectors[chosen]))));
  }
  return centres.map((centre) => Float64Array.from(centre));
}

function settle(vectors, centres) {
  let labels = [];
  let error = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const nearest = vectors.map((vector) => closest(vector, centres));
    const now = nearest.reduce((sum, { gap }) => sum + gap, 0);
    labels = nearest.map(({ index }) => index);
    if (now >= error) break;
    error = now;
    centres = centres.map((old, group) => mean(vectors.filter((_, i) => labels[i] === group)) ?? old);
  }
  return { labels, error };
}

function closest(vector, centres) {
  let index = 0;
  let gap = Infinity;
  centres.forEach((centre, i) => {
    const here = squared(vector, centre);
    if (here < gap) [index, gap] = [i, here];
  });
  return { index, gap };
}

function mean(vectors) {
  if (vectors.length === 0) return null;
  const sum = new Float64Array(vectors[0].length);
  for (const vector of vectors) for (let i = 0; i < sum.length; i++) sum[i] += vector[i];
  return sum.map((value) => value / vectors.length);
}

function inOrder(labels) {
  const seen = new Map();
  return labels.map((label) => {
    if (!seen.has(label)) seen.set(label, seen.size);
    return seen.get(label);
  });
}
