// Cosine similarity of vectors, and ranking by it.

export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** -1 to 1; 0 where a vector has no direction. */
export function cosine(a, b) {
  const lengths = Math.sqrt(dot(a, a) * dot(b, b));
  return lengths > 0 ? dot(a, b) / lengths : 0;
}

/** `[{index, score}]` of all vectors, best first; ties by index. */
export function ranked(query, vectors) {
  const scores = vectors.map((vector, index) => ({ index, score: cosine(query, vector) }));
  return scores.sort((a, b) => b.score - a.score || a.index - b.index);
}

/** n rows of n numbers; symmetric, ones on the diagonal. */
export function similarities(vectors) {
  const rows = vectors.map(() => new Float64Array(vectors.length));
  for (let i = 0; i < vectors.length; i++) {
    rows[i][i] = 1;
    for (let j = 0; j < i; j++) rows[i][j] = rows[j][i] = cosine(vectors[i], vectors[j]);
  }
  return rows;
}
