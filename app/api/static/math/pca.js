// Principal component analysis: projects vectors onto the two directions of largest variance.

import { dot } from "./cosine.js";
import { seeded } from "./random.js";

const ROUNDS = 1000;
// Maximum multiplications per axis, so that a large map takes about a second.
const WORK = 1e8;
const STILL = 1e-12;

/**
 * Points in the plane, and which share of the variance each axis shows.
 * @param {ArrayLike<number>[]} vectors n vectors of d numbers
 * @returns {{points: [number, number][], explained: [number, number]}}
 */
export function project(vectors) {
  const rows = centred(vectors);
  const total = rows.reduce((sum, row) => sum + dot(row, row), 0);
  if (total <= STILL) return { points: vectors.map(() => [0, 0]), explained: [0, 0] };
  const first = component(rows, []);
  const second = component(rows, [first.axis]);
  return {
    points: rows.map((row) => [dot(row, first.axis), dot(row, second.axis)]),
    explained: [first.variance / total, second.variance / total],
  };
}

function centred(vectors) {
  const size = vectors[0]?.length ?? 0;
  const mean = new Float64Array(size);
  for (const vector of vectors) for (let i = 0; i < size; i++) mean[i] += vector[i] / vectors.length;
  return vectors.map((vector) => Float64Array.from(vector, (value, i) => value - mean[i]));
}

/** Power iteration on the covariance, at right angles to the axes found before. */
function component(rows, before) {
  const size = rows[0].length;
  const random = seeded(7);
  let axis = Float64Array.from({ length: size }, () => random() - 0.5);
  const rounds = Math.min(ROUNDS, WORK / (rows.length * size));
  for (let round = 0; round < rounds; round++) {
    const next = new Float64Array(size);
    for (const row of rows) {
      const along = dot(row, axis);
      for (let i = 0; i < size; i++) next[i] += along * row[i];
    }
    for (const other of before) {
      const along = dot(next, other);
      for (let i = 0; i < size; i++) next[i] -= along * other[i];
    }
    const length = Math.sqrt(dot(next, next));
    // There is no variance in any other direction: all points lie on the axes found so far.
    if (length < STILL) return { axis: new Float64Array(size), variance: 0 };
    for (let i = 0; i < size; i++) next[i] /= length;
    const turned = 1 - Math.abs(dot(next, axis));
    axis = next;
    if (round > 0 && turned < STILL) break;
  }
  return { axis: pointed(axis), variance: rows.reduce((sum, row) => sum + dot(row, axis) ** 2, 0) };
}

/** An axis has no sign of its own; the largest part is made positive, so that a picture never flips. */
function pointed(axis) {
  let largest = 0;
  for (let i = 1; i < axis.length; i++) if (Math.abs(axis[i]) > Math.abs(axis[largest])) largest = i;
  return axis[largest] < 0 ? axis.map((value) => -value) : axis;
}
