/** A service that answers as the test says, on a port of its own. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

export interface Asked {
  method: string;
  url: string;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** `undefined`: no answer at all. */
export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

export interface Server {
  url: string;
  asked: Asked[];
}

export async function serve(t: TestContext, answer: (asked: Asked, nth: number) => Answer | undefined): Promise<Server> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const { method = "", url = "", headers } = request;
    const one = { method, url, headers, body: Buffer.concat(parts) };
    const told = answer(one, asked.push(one) - 1);
    if (told) response.writeHead(told.status ?? 200, told.headers).end(told.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** As of `/embed/text` and `/embed/image`: row `i` holds `first + i`. */
export function matrix(rows: number, columns = 2, first = 0, more: Record<string, string> = {}): Answer {
  const numbers = Float32Array.from({ length: rows * columns }, (_, i) => first + Math.floor(i / columns));
  const headers = {
    "x-embedding-shape": `${rows},${columns}`,
    "x-embedding-dtype": "float32",
    "x-embedding-model": "a-model",
    "x-embedding-space": "a-model@1",
    "x-embedding-dimensions": `${columns}`,
    "x-embedding-tokens": `${3 * rows}`,
    "x-embedding-cache-hits": "1",
    ...more,
  };
  return { headers, body: new Uint8Array(numbers.buffer) };
}

export function failure(status: number, error: object, headers: Record<string, string> = {}): Answer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify({ error }) };
}

export function textsOf(asked: Asked): string[] {
  return JSON.parse(asked.body.toString()).texts;
}
