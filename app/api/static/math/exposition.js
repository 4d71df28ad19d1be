// Parses Prometheus' text format and sums samples.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPES = { n: "\n", "\\": "\\", '"': '"' };

/**
 * @param {string} text
 * @returns {{name: string, labels: Record<string, string>, value: number}[]}
 */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line.trim());
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(LABEL))
      labels[name] = value.replace(/\\(.)/g, (_, mark) => ESCAPES[mark] ?? mark);
    samples.push({ name: found[1], labels, value: number(found[3]) });
  }
  return samples;
}

function number(text) {
  if (text === "+Inf" || text === "Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}

/** The sum of a metric's samples whose labels `fit`. */
export function total(samples, name, fit = () => true) {
  return samples.reduce((sum, it) => (it.name === name && fit(it.labels) ? sum + it.value : sum), 0);
}

/** A histogram's cumulative counts by upper bound, all fitting label sets together. */
export function buckets(samples, name, fit = () => true) {
  const counts = new Map();
  for (const { name: sample, labels, value } of samples) {
    if (sample !== `${name}_bucket` || !fit(labels)) continue;
    const bound = number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].map(([bound, count]) => ({ bound, count })).sort((a, b) => a.bound - b.bound);
}
