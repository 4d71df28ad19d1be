// The values of the live panel, computed from two readings of the service's metrics.

import { buckets, total } from "./exposition.js";
import { percentile, since } from "./percentile.js";

// Requests that only monitor the service do not count.
const MONITORING = new Set(["/", "/docs", "/openapi.json", "/health", "/livez", "/readyz", "/metrics", "/cache/stats", "/info"]);

const isWork = ({ route = "" }) => !MONITORING.has(route) && !route.startsWith("/static") && !route.startsWith("/v1/models");

/**
 * @param {{at: number, samples: object[]}} before `at` in seconds
 * @param {{at: number, samples: object[]}} after
 * @returns rates per second, times in ms; null where nothing happened in between
 */
export function figures(before, after) {
  const grown = (name, fit) => growth(total(before.samples, name, fit), total(after.samples, name, fit));
  const histogram = (name, fit) => since(buckets(before.samples, name, fit), buckets(after.samples, name, fit));
  const seconds = Math.max(after.at - before.at, 1e-3);
  const times = histogram("embedding_request_duration_seconds", isWork);
  const milliseconds = (share) => {
    const value = percentile(times, share);
    return value === null ? null : value * 1000;
  };
  const looked = (tier, result) =>
    grown("embedding_cache_lookups_total", (labels) => labels.tier === tier && labels.result === result);
  // Misses of the near cache are looked up in the shared cache, unless it can't hold them.
  const hits = looked("near", "hit") + looked("shared", "hit");
  const asked = looked("near", "hit") + looked("near", "miss");
  return {
    requests: grown("embedding_requests_total", isWork) / seconds,
    p50: milliseconds(0.5),
    p95: milliseconds(0.95),
    p99: milliseconds(0.99),
    hitRate: share(hits, asked),
    batch: share(grown("embedding_batch_size_sum"), grown("embedding_batch_size_count")),
  };
}

/** Replicas by deployment, `[name, count]`. */
export function replicas(samples) {
  return samples.filter(({ name }) => name === "embedding_replicas").map(({ labels, value }) => [labels.deployment, value]);
}

const growth = (before, after) => (after < before ? after : after - before);
const share = (part, whole) => (whole > 0 ? part / whole : null);
