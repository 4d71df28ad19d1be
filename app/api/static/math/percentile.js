// Percentiles of a histogram whose buckets are cumulative counts.

/**
 * What lies between two readings of one histogram. A counter that fell has begun anew.
 * @param {{bound: number, count: number}[]} before
 * @param {{bound: number, count: number}[]} after
 */
export function since(before, after) {
  const old = new Map(before.map(({ bound, count }) => [bound, count]));
  const anew = after.some(({ bound, count }) => count < (old.get(bound) ?? 0));
  return anew ? after : after.map(({ bound, count }) => ({ bound, count: count - (old.get(bound) ?? 0) }));
}

/**
 * The value below which a share of all observations lies, interpolated linearly in a bucket (as `histogram_quantile`
 * of Prometheus); null where there is none. What lies above every finite bound is given as the last one.
 * @param {{bound: number, count: number}[]} buckets by rising bound
 * @param {number} share 0 to 1
 */
export function percentile(buckets, share) {
  const all = buckets.at(-1)?.count ?? 0;
  if (all <= 0) return null;
  const wanted = share * all;
  let low = 0;
  let below = 0;
  for (const { bound, count } of buckets) {
    if (count >= wanted && count > below) {
      if (!Number.isFinite(bound)) return low;
      return low + ((bound - low) * (wanted - below)) / (count - below);
    }
    [low, below] = [Number.isFinite(bound) ? bound : low, count];
  }
  return low;
}
