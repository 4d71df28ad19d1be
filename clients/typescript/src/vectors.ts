/** Ranking without the service. */

export interface Found {
  /** Of the candidate. */
  index: number;
  score: number;
}

/**
 * The candidates nearest to `query` by cosine, best first, ties by index. A vector of zeros is like none: its cosine is 0.
 *
 * Throws a RangeError if dimensions differ or a number is not finite.
 */
export function findSimilar(query: ArrayLike<number>, candidates: Iterable<ArrayLike<number>>, topK = 5): Found[] {
  const found: Found[] = [];
  const length = norm(query, "query");
  for (const candidate of candidates) {
    const index = found.length;
    if (candidate.length !== query.length) {
      const message = `candidates.${index} has ${candidate.length} dimensions, but the query has ${query.length}.`;
      throw new RangeError(message);
    }
    const lengths = length * norm(candidate, `candidates.${index}`);
    let dot = 0;
    for (let i = 0; i < query.length; i++) dot += query[i]! * candidate[i]!;
    found.push({ index, score: lengths === 0 ? 0 : dot / lengths });
  }
  return found.sort((one, other) => other.score - one.score || one.index - other.index).slice(0, topK);
}

function norm(vector: ArrayLike<number>, name: string): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += vector[i]! ** 2;
  if (!Number.isFinite(sum)) throw new RangeError(`${name} has numbers that are not finite, or too large.`);
  return Math.sqrt(sum);
}
