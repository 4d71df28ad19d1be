// An example of what a schema describes.

const MODEL = "sentence-transformers/all-MiniLM-L6-v2";
// What a field of this name holds, where its type alone would make a dull example.
const VALUES = {
  model: MODEL, space: `${MODEL}@ff2f3f0e2fbf0c25`, id: MODEL, model_id: MODEL, served_model_name: MODEL,
  dimensions: 384, tokens: 8, prompt_tokens: 8, total_tokens: 8, input_tokens: 8, processingTime: 4.2, totalTime: 4.2,
  score: 0.4037, relevance_score: 0.4037, logit: 1.25, index: 0, start: 0, stop: 5, text: "Hello world", label: "joy",
  document: "Hello world", query: "Hello", cacheHits: 0, cached: false, available: true, truncated: [], code: "invalid_item",
};

/** @param {import("./schemas.js").Schemas} schemas */
export function exampleOf(schema, schemas, name = "") {
  const it = schemas.resolve(schema);
  if ("const" in it) return it.const;
  if (it.enum) return it.enum[0];
  if (it.anyOf) return exampleOf(it.anyOf.find(({ type }) => type !== "null"), schemas, name);
  if (it.properties) return fields(it, schemas);
  if (name in VALUES && kindOf(VALUES[name]) === (it.type === "integer" ? "number" : it.type)) return VALUES[name];
  if (isNumber(it.items)) return [-0.0341, 0.0307, 0.0066];
  if (it.type === "array") return (it.prefixItems ?? [it.items ?? {}]).map((one) => exampleOf(one, schemas));
  return { integer: 1, number: 0.5, boolean: true, string: "…", object: {} }[it.type] ?? null;
}

/** What is always there; where nothing is, what may be, but for errors. */
function fields({ properties, required = [] }, schemas) {
  const names = required.length ? required : Object.keys(properties).filter((name) => name !== "error");
  return Object.fromEntries(names.map((name) => [name, exampleOf(properties[name], schemas, name)]));
}

const kindOf = (value) => (Array.isArray(value) ? "array" : typeof value);
const isNumber = (items) => items?.type === "number";

const MOST = 4;
const MOST_LENGTH = 20_000;

/** JSON for reading: numbers on one line, and of many only the first. */
export function shown(value) {
  const text = write(value, "");
  return text.length > MOST_LENGTH ? `${text.slice(0, MOST_LENGTH)}\n… ${(text.length - MOST_LENGTH).toLocaleString("en")} more characters` : text;
}

function write(value, indent) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every((one) => typeof one === "number")) {
      const more = value.length > MOST + 1 ? [`… ${value.length - MOST} more`] : [];
      return `[${[...value.slice(0, more.length ? MOST : undefined), ...more].join(", ")}]`;
    }
    return `[\n${value.map((one) => inner + write(one, inner)).join(",\n")}\n${indent}]`;
  }
  const rows = Object.entries(value).map(([name, one]) => `${inner}${JSON.stringify(name)}: ${write(one, inner)}`);
  return rows.length ? `{\n${rows.join(",\n")}\n${indent}}` : "{}";
}
