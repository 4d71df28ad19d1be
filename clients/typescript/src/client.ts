/** The client: one method a task, vectors as typed arrays, requests and answers typed by the service's own document. */

import { ServiceError, shifted } from "./errors.js";
import type { components } from "./openapi.js";
import { send, sleep } from "./retry.js";
import type { Policy, RetryOptions } from "./retry.js";

type Schemas = components["schemas"];
type TextRequest = Schemas["TextRequest"];
type ImageRequest = Schemas["ImageRequest"];
type SearchRequest = Schemas["SearchRequest"];
type SimilarityRequest = Schemas["SimilarityRequest"];
type OutputType = NonNullable<TextRequest["outputType"]>;

/** One embedding, in the `outputType` asked for. */
export type VectorOf<T extends OutputType> = T extends "float32"
  ? Float32Array
  : T extends "int8" | "binary"
    ? Int8Array
    : Uint8Array;

/** Numbers of any kind of array. */
export type Vector = readonly number[] | Float32Array | Float64Array;

/** The bytes of an image file, or a string: data URI, base64, URL or path, as far as the service allows these. */
export type Image = Blob | ArrayBuffer | Uint8Array | string;

/** A text, the bytes of an image, a vector, or an object as in the HTTP API. */
export type Item = string | Exclude<Image, string> | Vector | SearchRequest["query"];

export interface CallOptions {
  /** Aborts the request, its retries and its pauses. */
  signal?: AbortSignal;
}

export type EmbedTextsOptions<T extends OutputType = "float32"> = CallOptions &
  Omit<TextRequest, "texts" | "outputType"> & { outputType?: T };
export type EmbedImagesOptions<T extends OutputType = "float32"> = CallOptions &
  Omit<ImageRequest, "images" | "outputType"> & { outputType?: T };
export type SearchOptions = CallOptions & Omit<SearchRequest, "query" | "candidates">;
export type SimilarityOptions = CallOptions &
  Pick<SimilarityRequest, "topK" | "threshold" | "metric"> & {
    /** The space of all vectors; the answer repeats it. */
    space?: string;
  };

/** Vectors in the order of the inputs, and what the service says of them. */
export interface Embeddings<T extends OutputType = "float32"> {
  vectors: VectorOf<T>[];
  /** Full name of the model. */
  model: string;
  /** Only vectors of the same space can be compared. */
  space: string;
  dimensions: number;
  /** Of all inputs, special tokens included. */
  tokens: number;
  cacheHits: number;
  /** Indices of texts that are longer than the model reads: their vectors are of a part. */
  truncated: number[];
  /** int8, uint8: the values that the first and the last level stand for. */
  range?: [number, number];
  /** A remark on the model, e.g. that it is a backup. */
  note?: string;
}

export interface ClientOptions {
  /** Default in Node: `EMBEDDING_URL`, then `http://127.0.0.1:3000`. May include a path. */
  url?: string;
  /** Sent as `Authorization: Bearer`. Default in Node: `EMBEDDING_API_KEY`. */
  apiKey?: string;
  /** Milliseconds to wait for the response to one attempt. Default 60,000. */
  timeoutMs?: number;
  retry?: RetryOptions;
  /** Requests at a time, of one call. Default 4. */
  concurrency?: number;
  /** For tests and special networks, as are the next two. */
  fetch?: typeof fetch;
  sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
  random?: () => number;
}

// Below the service's own limits: smaller requests finish sooner than one that uses all of its deadline. A character is
// at most three bytes, of base64 one.
const TEXTS = { items: 256, characters: 4 * 2 ** 20 };
const IMAGES = { items: 16, characters: 32 * 2 ** 20 };
const ARRAYS = { float32: Float32Array, int8: Int8Array, uint8: Uint8Array };

export class EmbeddingClient {
  readonly url: string;
  readonly #headers: Record<string, string>;
  readonly #policy: Policy;
  readonly #concurrency: number;
  #warned = false;

  constructor(options: ClientOptions = {}) {
    const url = options.url ?? environment("EMBEDDING_URL") ?? "http://127.0.0.1:3000";
    if (!/^https?:\/\/[^/]/.test(url)) {
      throw new RangeError(`url must begin with http:// or https:// and name a host, not ${JSON.stringify(url)}`);
    }
    this.url = url.replace(/\/+$/, "");
    const key = options.apiKey ?? environment("EMBEDDING_API_KEY");
    this.#headers = key ? { authorization: `Bearer ${key}` } : {};
    this.#concurrency = Math.max(1, options.concurrency ?? 4);
    this.#policy = {
      attempts: 6,
      firstMs: 500,
      mostMs: 8_000,
      deadlineMs: 120_000,
      ...options.retry,
      timeoutMs: options.timeoutMs ?? 60_000,
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
      sleep: options.sleep ?? sleep,
      random: options.random ?? Math.random,
    };
  }

  /** A vector a text. Lists of any length are cut into requests. */
  async embedTexts<T extends OutputType = "float32">(
    texts: readonly string[],
    { signal, ...options }: EmbedTextsOptions<T> = {},
  ): Promise<Embeddings<T>> {
    const found = await this.#embed<T>("text", "texts", texts, TEXTS, options, signal);
    const which = `${texts.length} texts, the first at index ${found.truncated[0]},`;
    this.#warn(found.truncated.length, which, found.model, "`truncated` lists them");
    return found;
  }

  /** A vector an image. Lists of any length are cut into requests. */
  async embedImages<T extends OutputType = "float32">(
    images: readonly Image[],
    { signal, ...options }: EmbedImagesOptions<T> = {},
  ): Promise<Embeddings<T>> {
    return this.#embed("image", "images", await Promise.all(images.map(imageOf)), IMAGES, options, signal);
  }

  /** Embed a query and candidates, texts, images and vectors, and rank them; best first. */
  async search(
    query: Item,
    candidates: readonly Item[],
    { signal, ...options }: SearchOptions = {},
  ): Promise<Schemas["SearchResponse"]> {
    const body = { query: await itemOf(query), candidates: await Promise.all(candidates.map(itemOf)), ...options };
    const read = async (response: Response) => {
      const found = await answerOf<Schemas["SearchResponse"]>(response);
      const count = Number(response.headers.get("x-embedding-truncated") ?? 0);
      this.#warn(count, "the texts of this search", found.model, "`embedTexts` tells which");
      return found;
    };
    return this.#post("/search", json(body), read, signal);
  }

  /** Rank vectors against a vector at the service; best first. `findSimilar` does it here. */
  async similarity(
    query: Vector,
    candidates: readonly Vector[],
    { signal, ...options }: SimilarityOptions = {},
  ): Promise<Schemas["SimilarityResponse"]> {
    const matrix = new Float32Array((1 + candidates.length) * query.length);
    [query, ...candidates].forEach((row, i) => {
      if (row.length !== query.length) {
        const message = `candidates.${i - 1} has ${row.length} dimensions, but the query has ${query.length}.`;
        throw new RangeError(message);
      }
      matrix.set(row, i * query.length);
    });
    const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
    const shape = `${1 + candidates.length},${query.length}`;
    const request = {
      headers: { "content-type": "application/octet-stream", "x-embedding-shape": shape },
      body: matrix,
    };
    const path = `/similarity?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
    return this.#post(path, request, answerOf<Schemas["SimilarityResponse"]>, signal);
  }

  /** Warns of the first texts that were truncated. */
  #warn(count: number, which: string, model: string | null | undefined, teller: string): void {
    if (count === 0 || this.#warned) return;
    this.#warned = true;
    const words = `${count} of ${which} are longer than ${model} reads: each vector is of a part.`;
    console.warn(`${words} ${teller}; this client does not warn again.`);
  }

  async #embed<T extends OutputType>(
    kind: string,
    field: string,
    items: readonly string[],
    most: { items: number; characters: number },
    options: object,
    signal?: AbortSignal,
  ): Promise<Embeddings<T>> {
    const run = async (start: number, part: readonly string[]): Promise<Embeddings<T>[]> => {
      try {
        const request = json({ [field]: part, ...options });
        request.headers["accept"] = "application/octet-stream";
        const found = await this.#post(`/embed/${kind}`, request, vectorsOf<T>, signal);
        if (found.vectors.length !== part.length) {
          const message = `${this.url} sent ${found.vectors.length} vectors for ${part.length} inputs.`;
          throw new ServiceError(500, "unreadable_answer", message);
        }
        return [{ ...found, truncated: found.truncated.map((index) => start + index) }];
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        // More than the service takes, or than it can do in time.
        const large = error.maxItems !== null || (error.status === 413 && (error.param ?? field) === field);
        if (!large || part.length < 2) throw shifted(error, field, start);
        const middle = part.length >> 1;
        return [...(await run(start, part.slice(0, middle))), ...(await run(start + middle, part.slice(middle)))];
      }
    };
    const parts = partsOf(items, most);
    const results: Embeddings<T>[][] = [];
    let next = 0;
    const work = async () => {
      for (let i = next++; i < parts.length; i = next++) {
        try {
          results[i] = await run(...parts[i]!);
        } catch (error) {
          next = parts.length;
          throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(this.#concurrency, parts.length) }, work));
    return joined(results.flat());
  }

  #post<T>(
    path: string,
    request: { headers: Record<string, string>; body: BodyInit },
    read: (response: Response) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const headers = { ...this.#headers, ...request.headers };
    return send(this.url + path, { ...request, method: "POST", headers }, read, this.#policy, signal);
  }
}

/** Consecutive items for one request each, with the index of the first. An empty list is one: the service refuses it. */
function partsOf(items: readonly string[], most: { items: number; characters: number }): [number, readonly string[]][] {
  const starts = [0];
  let characters = 0;
  items.forEach((item, i) => {
    if (i > 0 && (i - starts.at(-1)! === most.items || characters + item.length > most.characters)) {
      starts.push(i);
      characters = 0;
    }
    characters += item.length;
  });
  return starts.map((start, i) => [start, items.slice(start, starts[i + 1])]);
}

function joined<T extends OutputType>(results: Embeddings<T>[]): Embeddings<T> {
  const [first, ...others] = results as [Embeddings<T>, ...Embeddings<T>[]];
  for (const { space } of others) {
    if (space === first.space) continue;
    const message = `Some vectors are in space ${first.space} and some in ${space}, so they can't be compared: the service changed its model between requests. Try again.`;
    throw new ServiceError(409, "space_mismatch", message, { param: "model" });
  }
  return {
    ...first,
    vectors: results.flatMap((result) => result.vectors),
    tokens: results.reduce((sum, result) => sum + result.tokens, 0),
    cacheHits: results.reduce((sum, result) => sum + result.cacheHits, 0),
    truncated: results.flatMap((result) => result.truncated),
  };
}

async function vectorsOf<T extends OutputType>(response: Response): Promise<Embeddings<T>> {
  const header = (name: string): string | null => response.headers.get(`x-embedding-${name}`);
  const needed = (name: string): string => {
    const value = header(name);
    if (value === null) throw unreadable(response, `the header x-embedding-${name} is missing`);
    return value;
  };
  const numbers = (text: string | null): number[] => (text ? text.split(",").map(Number) : []);
  const [rows = 0, columns = 0] = numbers(needed("shape"));
  const Array_ = ARRAYS[needed("dtype") as keyof typeof ARRAYS];
  const body = await response.arrayBuffer();
  if (!Array_ || body.byteLength !== rows * columns * Array_.BYTES_PER_ELEMENT) {
    throw unreadable(response, `${body.byteLength} bytes of ${header("dtype")} are no ${rows} × ${columns} matrix`);
  }
  // Little-endian, as is every machine that JavaScript runs on. Rows are views of one buffer.
  const matrix = new Array_(body);
  const range = header("range");
  const note = header("note");
  return {
    vectors: Array.from({ length: rows }, (_, i) => matrix.subarray(i * columns, (i + 1) * columns) as VectorOf<T>),
    model: decodeURIComponent(needed("model")),
    space: decodeURIComponent(needed("space")),
    dimensions: Number(needed("dimensions")),
    tokens: Number(needed("tokens")),
    cacheHits: Number(needed("cache-hits")),
    truncated: numbers(header("truncated")),
    ...(range && { range: numbers(range) as [number, number] }),
    ...(note && { note: decodeURIComponent(note) }),
  };
}

async function answerOf<T>(response: Response): Promise<T> {
  const text = await response.text();
  try {
    return JSON.parse(text) as T;
  } catch {
    throw unreadable(response, "no JSON");
  }
}

function unreadable(response: Response, what: string): ServiceError {
  const requestId = response.headers.get("x-request-id");
  const message = `${response.url} sent a response that this client can't read: ${what}.`;
  return new ServiceError(500, "unreadable_answer", message, { requestId });
}

function json(body: object): { headers: Record<string, string>; body: string } {
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function itemOf(item: Item): Promise<SearchRequest["query"]> {
  if (typeof item === "string") return { text: item };
  if (isBytes(item)) return { image: await imageOf(item) };
  if (Array.isArray(item) || ArrayBuffer.isView(item)) return { vector: Array.from(item as ArrayLike<number>) };
  return item as SearchRequest["query"];
}

function isBytes(value: unknown): value is Exclude<Image, string> {
  return value instanceof Blob || value instanceof ArrayBuffer || value instanceof Uint8Array;
}

/** As base64; a string is one already, or a URL or path. */
async function imageOf(image: Image): Promise<string> {
  if (typeof image === "string") return image;
  const bytes = new Uint8Array(image instanceof Blob ? await image.arrayBuffer() : image);
  let binary = "";
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(binary);
}

/** Of Node and its like; browsers have none. */
function environment(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name] || undefined;
}
