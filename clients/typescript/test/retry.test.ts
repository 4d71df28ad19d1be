import assert from "node:assert/strict";
import { test } from "node:test";

import { EmbeddingClient } from "../src/index.js";
import type { RetryOptions } from "../src/index.js";
import { failure, matrix, serve } from "./server.js";
import type { Answer } from "./server.js";

const FULL = failure(429, { code: "overloaded", message: "Full." });

/** A client whose pauses take no time, and these pauses. */
function patient(url: string, retry: RetryOptions = {}): { client: EmbeddingClient; pauses: number[] } {
  const pauses: number[] = [];
  const sleep = async (ms: number) => void pauses.push(ms);
  return { client: new EmbeddingClient({ url, retry, sleep, random: () => 1 }), pauses };
}

test("what may pass is tried again, with pauses that double up to a bound", async (t) => {
  const told: Answer[] = [FULL, ...[502, 503, 504].map((status) => ({ status })), matrix(1)];
  const server = await serve(t, (_, nth) => told[nth]);
  const { client, pauses } = patient(server.url, { mostMs: 2000 });
  assert.equal((await client.embedTexts(["a"])).vectors.length, 1);
  assert.deepEqual(pauses, [500, 1000, 2000, 2000]);
});

test("Retry-After is heeded, as seconds and as a date of the sender's clock", async (t) => {
  const date = { date: "Mon, 02 Mar 2026 10:00:00 GMT", "retry-after": "Mon, 02 Mar 2026 10:00:20 GMT" };
  const told = [
    { ...FULL, headers: { "retry-after": "7" } },
    { status: 503, headers: date },
    { status: 503, headers: { "retry-after": "soon" } },
    matrix(1),
  ];
  const server = await serve(t, (_, nth) => told[nth]);
  const { client, pauses } = patient(server.url);
  await client.embedTexts(["a"]);
  assert.deepEqual(pauses.map(Math.round), [7700, 22000, 2000]);
});

for (const [name, told] of [
  ["a bad request", failure(400, { code: "invalid_request", message: "No." })],
  ["an item that ended two replicas", failure(503, { code: "request_rejected", message: "No." })],
  ["what one item can't be done of in time", failure(504, { code: "deadline_exceeded" }, { "x-embedding-max-items": "0" })],
  ["a failure of the service itself", failure(500, { code: "internal_error", message: "No." })],
] as const) {
  test(`${name} is not tried again`, async (t) => {
    const server = await serve(t, () => told);
    const { client, pauses } = patient(server.url);
    await assert.rejects(client.embedTexts(["a"]), { status: told.status });
    assert.deepEqual([server.asked.length, pauses], [1, []]);
  });
}

test("attempts and time have an end", async (t) => {
  const server = await serve(t, () => ({ ...FULL, headers: { "retry-after": "60" } }));
  const { client, pauses } = patient(server.url, { attempts: 2 });
  await assert.rejects(client.embedTexts(["a"]), { status: 429, retryAfterMs: 60_000 });
  assert.deepEqual([server.asked.length, pauses.length], [2, 1]);
  const hurried = patient(server.url, { deadlineMs: 30_000 });
  await assert.rejects(hurried.client.embedTexts(["a"]), { status: 429 });
  assert.deepEqual([server.asked.length, hurried.pauses], [3, []]);
});

test("no connection is an error with its reason, after all attempts", async () => {
  const { client, pauses } = patient("http://127.0.0.1:1", { attempts: 3 });
  await assert.rejects(client.embedTexts(["a"]), { status: 503, code: "unreachable", message: /127\.0\.0\.1:1.*reached/ });
  assert.equal(pauses.length, 2);
});

test("no answer in time is an error, and not asked for again", async (t) => {
  const server = await serve(t, () => undefined);
  const client = new EmbeddingClient({ url: server.url, timeoutMs: 100 });
  await assert.rejects(client.embedTexts(["a"]), { status: 504, code: "timed_out" });
  assert.equal(server.asked.length, 1);
});

test("a signal ends the call before, during and between requests", async (t) => {
  const reason = new Error("enough");
  const control = new AbortController();
  const hanging = await serve(t, () => void control.abort(reason));
  await assert.rejects(new EmbeddingClient({ url: hanging.url }).embedTexts(["a"], { signal: control.signal }), reason);
  assert.equal(hanging.asked.length, 1);
  await assert.rejects(new EmbeddingClient({ url: hanging.url }).search("a", ["b"], { signal: control.signal }), reason);
  assert.equal(hanging.asked.length, 1);
  const pausing = new AbortController();
  const full = await serve(t, () => {
    setImmediate(() => setImmediate(() => pausing.abort(reason)));
    return { ...FULL, headers: { "retry-after": "60" } };
  });
  await assert.rejects(new EmbeddingClient({ url: full.url }).embedTexts(["a"], { signal: pausing.signal }), reason);
  assert.equal(full.asked.length, 1);
});

test("a call that fails starts no more requests", async (t) => {
  const server = await serve(t, () => failure(400, { code: "invalid_request", message: "No." }));
  const texts = Array.from({ length: 10 * 256 }, () => "a");
  await assert.rejects(new EmbeddingClient({ url: server.url, concurrency: 1 }).embedTexts(texts), { status: 400 });
  assert.equal(server.asked.length, 1);
});
