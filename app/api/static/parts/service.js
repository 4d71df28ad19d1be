// Calls the service's routes. Errors have messages for users.

import * as key from "./key.js";

export const ROOT = new URL("../../", import.meta.url);
// Vectors are requested as little-endian float32, a fifth of their size in JSON; errors are always JSON.
const BINARY = { accept: "application/octet-stream" };
const UNREACHABLE = "The service can't be reached. Is it still running?";

export class ServiceError extends Error {
  constructor(message, status = 0, param = null) {
    super(message);
    this.status = status;
    this.param = param;
  }
}

/** The answer of a route, once a key is there if one is needed. Statuses in `fine` are no errors. */
export async function call(path, options = {}, fine = []) {
  for (;;) {
    const answer = await reach(path, options);
    if (answer.ok || fine.includes(answer.status)) return answer;
    const error = await told(answer);
    if (answer.status !== 401) throw error;
    await key.ask(error.message);
  }
}

/**
 * @param {string[]} texts
 * @param {{model?: string, inputType?: "query" | "document"}} options
 */
export async function embedTexts(texts, options = {}) {
  const body = JSON.stringify({ texts, ...options });
  const headers = { ...BINARY, "content-type": "application/json" };
  return vectors(await call("embed/text", { method: "POST", body, headers }));
}

/** @param {Blob[]} files @param {string} model */
export async function embedImages(files, model) {
  const body = new FormData();
  for (const file of files) body.append("images", file, file.name ?? "image");
  body.append("model", model);
  return vectors(await call("embed/image", { method: "POST", body, headers: BINARY }));
}

/** While the service starts its health is a 503, which says so. */
export async function health() {
  return (await call("health", {}, [503])).json();
}

export async function metrics() {
  return (await call("metrics")).text();
}

async function reach(path, options) {
  try {
    return await fetch(new URL(path, ROOT), { ...options, headers: { ...options.headers, ...key.headers() } });
  } catch {
    throw new ServiceError(UNREACHABLE);
  }
}

async function told(answer) {
  try {
    const { error } = await answer.json();
    return new ServiceError(error.message, answer.status, error.param);
  } catch {
    return new ServiceError(`The service answered ${answer.status} ${answer.statusText}`.trim() + ".", answer.status);
  }
}

/**
 * The rows of a binary answer; what is known about them stands in its headers.
 * @typedef {{vectors: Float32Array[], model: string, space: string, tokens: number, hits: number, truncated: Set<number>}} Embedded
 * @returns {Promise<Embedded>} `hits`: items from the service's cache; `truncated`: indices of texts read in part
 */
async function vectors(answer) {
  const header = (name) => answer.headers.get(`x-embedding-${name}`);
  const numbers = (name) => (header(name) ?? "").split(",").filter(Boolean).map(Number);
  const [rows, size] = numbers("shape");
  const all = new Float32Array(await answer.arrayBuffer());
  const vectors = Array.from({ length: rows }, (_, i) => all.subarray(i * size, (i + 1) * size));
  const [[tokens], [hits]] = [numbers("tokens"), numbers("cache-hits")];
  return { vectors, model: header("model"), space: header("space"), tokens, hits, truncated: new Set(numbers("truncated")) };
}
