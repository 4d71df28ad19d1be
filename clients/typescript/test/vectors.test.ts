import assert from "node:assert/strict";
import { test } from "node:test";

import { findSimilar } from "../src/index.js";

test("the nearest by cosine, ties by index", () => {
  const candidates = [[0, 1], new Float32Array([2, 0]), [1, 0], [-1, 0], [0, 0]];
  assert.deepEqual(findSimilar([3, 0], candidates, 3), [
    { index: 1, score: 1 },
    { index: 2, score: 1 },
    { index: 0, score: 0 },
  ]);
  assert.deepEqual(findSimilar([3, 0], candidates).map(({ index }) => index), [1, 2, 0, 4, 3]);
  assert.deepEqual(findSimilar([0, 0], [[1, 0]]), [{ index: 0, score: 0 }]);
  assert.deepEqual(findSimilar([1, 0], []), []);
});

test("what can't be compared is refused by its index", () => {
  assert.throws(() => findSimilar([1, 0], [[1, 0], [1]]), /^RangeError: candidates\.1 has 1 dimensions/);
  assert.throws(() => findSimilar([1, 0], [[1, Number.NaN]]), /^RangeError: candidates\.0 has numbers that are not/);
  assert.throws(() => findSimilar([Infinity, 0], []), /^RangeError: query has/);
});
