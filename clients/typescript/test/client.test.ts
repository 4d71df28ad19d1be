import assert from "node:assert/strict";
import { test } from "node:test";

import { EmbeddingClient, ServiceError } from "../src/index.js";
import { failure, matrix, serve, textsOf } from "./server.js";

const TEXTS = ["Hello world", "Machine learning"];

test("texts become typed arrays, with what the headers say", async (t) => {
  const more = { "x-embedding-model": "Modell%20%C3%A4", "x-embedding-note": "A%20backup." };
  const server = await serve(t, () => matrix(2, 3, 5, more));
  const found = await new EmbeddingClient({ url: `${server.url}/` }).embedTexts(TEXTS);
  assert.deepEqual(found, {
    vectors: [new Float32Array([5, 5, 5]), new Float32Array([6, 6, 6])],
    model: "Modell ä",
    space: "a-model@1",
    dimensions: 3,
    tokens: 6,
    cacheHits: 1,
    truncated: [],
    note: "A backup.",
  });
  const [asked] = server.asked;
  assert.deepEqual([asked!.method, asked!.url], ["POST", "/embed/text"]);
  assert.equal(asked!.headers["accept"], "application/octet-stream");
  assert.equal(asked!.headers["authorization"], undefined);
  assert.deepEqual(JSON.parse(asked!.body.toString()), { texts: TEXTS });
});

test("options go on the wire, and choose the kind of array", async (t) => {
  const told = matrix(1, 3, 0, { "x-embedding-dtype": "int8", "x-embedding-range": "-0.25,0.5" });
  const server = await serve(t, () => ({ ...told, body: new Uint8Array([255, 0, 127]) }));
  const client = new EmbeddingClient({ url: server.url, apiKey: "k" });
  const found = await client.embedTexts(["a"], { outputType: "int8", model: "m", inputType: "query", normalize: false });
  const [vector]: Int8Array[] = found.vectors;
  assert.deepEqual(vector, new Int8Array([-1, 0, 127]));
  assert.deepEqual(found.range, [-0.25, 0.5]);
  const [asked] = server.asked;
  assert.equal(asked!.headers["authorization"], "Bearer k");
  const body = { texts: ["a"], outputType: "int8", model: "m", inputType: "query", normalize: false };
  assert.deepEqual(JSON.parse(asked!.body.toString()), body);
});

test("a long list is cut into requests, at most as many at a time as asked for, and keeps its order", async (t) => {
  const texts = Array.from({ length: 600 }, (_, i) => `${i}`);
  const server = await serve(t, (asked) => {
    const part = textsOf(asked);
    return matrix(part.length, 1, Number(part[0]), { "x-embedding-truncated": "1" });
  });
  t.mock.method(console, "warn", () => {});
  const found = await new EmbeddingClient({ url: server.url, concurrency: 2 }).embedTexts(texts);
  assert.deepEqual(server.asked.map((asked) => textsOf(asked).length).sort(), [256, 256, 88]);
  assert.deepEqual(found.vectors.map(([number]) => `${number}`), texts);
  assert.deepEqual([found.tokens, found.cacheHits, found.truncated], [1800, 3, [1, 257, 513]]);
});

test("truncated texts are warned of once", async (t) => {
  const server = await serve(t, () => matrix(2, 1, 0, { "x-embedding-truncated": "1" }));
  const { mock } = t.mock.method(console, "warn", () => {});
  const client = new EmbeddingClient({ url: server.url });
  for (const _ of [1, 2]) assert.deepEqual((await client.embedTexts(TEXTS)).truncated, [1]);
  assert.equal(mock.callCount(), 1);
  assert.match(String(mock.calls[0]!.arguments[0]), /1 of 2 texts, the first at index 1, are longer than a-model reads/);
});

for (const [name, told] of [
  ["more than the service takes", failure(413, { code: "payload_too_large", message: "Too many.", param: "texts" })],
  ["more than can be done in time", failure(504, { code: "deadline_exceeded" }, { "x-embedding-max-items": "2" })],
] as const) {
  test(`a request of ${name} is divided`, async (t) => {
    const server = await serve(t, (asked) => {
      const part = textsOf(asked);
      return part.length > 2 ? told : matrix(part.length, 1, Number(part[0]));
    });
    const found = await new EmbeddingClient({ url: server.url }).embedTexts(["0", "1", "2", "3", "4"]);
    assert.deepEqual(found.vectors.map(([number]) => number), [0, 1, 2, 3, 4]);
    assert.deepEqual(server.asked.map((asked) => textsOf(asked).length), [5, 2, 3, 1, 2]);
  });
}

test("an error is a ServiceError, its index counted in the caller's list", async (t) => {
  const server = await serve(t, (asked) =>
    textsOf(asked).includes("")
      ? failure(400, { code: "invalid_request", message: "`texts.4` is empty.", param: "texts.4", requestId: "r-1" })
      : matrix(256),
  );
  const texts = [...Array.from({ length: 260 }, () => "a"), "", "b"];
  const error = await new EmbeddingClient({ url: server.url }).embedTexts(texts).catch((error: unknown) => error);
  assert.ok(error instanceof ServiceError && error instanceof Error);
  assert.deepEqual(
    [error.name, error.status, error.code, error.param, error.message, error.requestId],
    ["ServiceError", 400, "invalid_request", "texts.260", "`texts.260` is empty.", "r-1"],
  );
});

test("what a gateway says is an error too", async (t) => {
  const server = await serve(t, () => ({ status: 404, body: "<h1>Not\n here</h1>" }));
  const failed = new EmbeddingClient({ url: server.url }).embedTexts(["a"]);
  await assert.rejects(failed, { status: 404, code: "http_404", message: "The response is 404 Not Found: Not here" });
});

test("vectors that don't fit what is said of them are no answer", async (t) => {
  const wrong = [
    matrix(2), // of one text
    { ...matrix(1), body: new Uint8Array(7) },
    matrix(1, 2, 0, { "x-embedding-dtype": "float16" }),
    { body: "{}" },
  ];
  const server = await serve(t, (_, nth) => wrong[nth]);
  const client = new EmbeddingClient({ url: server.url });
  for (const _ of wrong) await assert.rejects(client.embedTexts(["a"]), { code: "unreadable_answer", status: 500 });
  assert.equal(server.asked.length, wrong.length);
});

test("vectors of two spaces are never joined", async (t) => {
  const server = await serve(t, (asked, nth) =>
    matrix(textsOf(asked).length, 1, 0, { "x-embedding-space": `space-${nth}` }),
  );
  const failed = new EmbeddingClient({ url: server.url }).embedTexts(Array.from({ length: 300 }, () => "a"));
  await assert.rejects(failed, { status: 409, code: "space_mismatch" });
});

test("images are bytes of any kind, or strings as they are", async (t) => {
  const server = await serve(t, () => matrix(4));
  const bytes = new Uint8Array([0, 250, 251, 252, 0]).subarray(1, 4);
  const images = [bytes, new Blob([bytes]), bytes.slice().buffer, "data:image/png;base64,AA=="];
  const found = await new EmbeddingClient({ url: server.url }).embedImages(images, { model: "clip" });
  assert.equal(found.vectors.length, 4);
  const [asked] = server.asked;
  assert.equal(asked!.url, "/embed/image");
  const body = { images: ["+vv8", "+vv8", "+vv8", "data:image/png;base64,AA=="], model: "clip" };
  assert.deepEqual(JSON.parse(asked!.body.toString()), body);
});

test("images are cut by their bytes too", async (t) => {
  const server = await serve(t, (asked) => matrix(JSON.parse(asked.body.toString()).images.length));
  const large = new Uint8Array(9 * 2 ** 20); // 12 MiB as base64
  const found = await new EmbeddingClient({ url: server.url }).embedImages([large, large, large]);
  assert.equal(found.vectors.length, 3);
  assert.deepEqual(server.asked.map((asked) => JSON.parse(asked.body.toString()).images.length).sort(), [1, 2]);
});

test("a search warns of truncated texts too, once", async (t) => {
  const answer = { results: [], metric: "cosine", model: "a-model", space: "s" };
  const counts: Record<string, string>[] = [{}, { "x-embedding-truncated": "2" }, { "x-embedding-truncated": "2" }];
  const server = await serve(t, () => ({ body: JSON.stringify(answer), headers: counts.shift()! }));
  const { mock } = t.mock.method(console, "warn", () => {});
  const client = new EmbeddingClient({ url: server.url });
  for (const calls of [0, 1, 1]) {
    await client.search("q", ["a", "b"]);
    assert.equal(mock.callCount(), calls);
  }
  assert.match(String(mock.calls[0]!.arguments[0]), /^2 of the texts of this search are longer than a-model reads/);
});

test("search takes texts, images, vectors and the API's own objects", async (t) => {
  const answer = { results: [{ index: 1, score: 0.5 }], metric: "cosine", model: null, space: null };
  const server = await serve(t, () => ({ body: JSON.stringify(answer) }));
  const candidates = ["a", [1, 2], new Float32Array([0.5]), new Uint8Array([250]), { text: "b" }];
  const found = await new EmbeddingClient({ url: server.url }).search("q", candidates, { topK: 1 });
  assert.deepEqual(found.results, answer.results);
  const [asked] = server.asked;
  assert.equal(asked!.url, "/search");
  assert.deepEqual(JSON.parse(asked!.body.toString()), {
    query: { text: "q" },
    candidates: [{ text: "a" }, { vector: [1, 2] }, { vector: [0.5] }, { image: "+g==" }, { text: "b" }],
    topK: 1,
  });
});

test("similarity sends one matrix, the query's row first", async (t) => {
  const server = await serve(t, () => ({ body: '{"results": [{"index": 0, "score": 1}], "metric": "dot"}' }));
  const client = new EmbeddingClient({ url: server.url });
  const rows = [new Float32Array([3, 4]), [5, 6]];
  const found = await client.similarity([1, 2], rows, { topK: 1, metric: "dot", threshold: null });
  assert.equal(found.results[0]!.index, 0);
  const [asked] = server.asked;
  assert.equal(asked!.url, "/similarity?topK=1&metric=dot");
  assert.equal(asked!.headers["x-embedding-shape"], "3,2");
  assert.equal(asked!.headers["content-type"], "application/octet-stream");
  assert.deepEqual(new Float32Array(new Uint8Array(asked!.body).buffer), new Float32Array([1, 2, 3, 4, 5, 6]));
  await assert.rejects(client.similarity([1, 2], [[1, 2], [1]]), /candidates\.1 has 1 dimensions/);
  assert.equal(server.asked.length, 1);
});

test("address and key come from Node's environment, and a wrong address is said at once", (t) => {
  const { EMBEDDING_URL: before } = process.env;
  t.after(() => (before === undefined ? delete process.env["EMBEDDING_URL"] : (process.env["EMBEDDING_URL"] = before)));
  process.env["EMBEDDING_URL"] = "http://service.example/base/";
  assert.equal(new EmbeddingClient().url, "http://service.example/base");
  assert.equal(new EmbeddingClient({ url: "http://other.example" }).url, "http://other.example");
  delete process.env["EMBEDDING_URL"];
  assert.equal(new EmbeddingClient().url, "http://127.0.0.1:3000");
  for (const url of ["localhost:3000", "http://", "ftp://a.example"]) {
    assert.throws(() => new EmbeddingClient({ url }), RangeError);
  }
});
