/** Sends a request until it succeeds, fails for good, or its time is up. All requests of this client are idempotent. */

import { errorOf, ServiceError } from "./errors.js";

export interface RetryOptions {
  /** At most, with the first one. Default 6; 1: no retries. */
  attempts?: number;
  /** The first pause; each one that follows is twice as long. Default 500. */
  firstMs?: number;
  /** The longest pause; `Retry-After` may demand a longer one. Default 8,000. */
  mostMs?: number;
  /** For all attempts and pauses of one request. Default 120,000. */
  deadlineMs?: number;
}

export interface Policy extends Required<RetryOptions> {
  /** For the response to one attempt. */
  timeoutMs: number;
  fetch: typeof fetch;
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  random: () => number;
}

const TRANSIENT = new Set([429, 502, 503, 504]);
/** Another attempt would end as this one did. */
const PERMANENT = new Set(["request_rejected", "timed_out"]);
/** Clients that got the same `Retry-After` must not return at the same time. */
const JITTER = 0.1;

/** What `read` makes of the first good response. */
export async function send<T>(
  url: string,
  request: RequestInit,
  read: (response: Response) => Promise<T>,
  policy: Policy,
  signal?: AbortSignal,
): Promise<T> {
  const ends = Date.now() + policy.deadlineMs;
  for (let failures = 0; ; failures++) {
    try {
      return await attempt(url, request, read, policy, Math.min(policy.timeoutMs, ends - Date.now()), signal);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const backoff = Math.min(policy.mostMs, policy.firstMs * 2 ** failures) * (0.5 + policy.random() / 2);
      const pause = Math.max(backoff, (error.retryAfterMs ?? 0) * (1 + JITTER * policy.random()));
      const transient = TRANSIENT.has(error.status) && !PERMANENT.has(error.code) && error.maxItems === null;
      if (!transient || failures + 1 >= policy.attempts || Date.now() + pause >= ends) throw error;
      await policy.sleep(pause, signal);
    }
  }
}

async function attempt<T>(
  url: string,
  request: RequestInit,
  read: (response: Response) => Promise<T>,
  policy: Policy,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  // AbortSignal.any is younger than Node 18.
  const own = new AbortController();
  const leave = () => own.abort(signal?.reason);
  signal?.addEventListener("abort", leave);
  const timer = setTimeout(() => own.abort(), Math.max(1, timeoutMs));
  try {
    const response = await policy.fetch(url, { ...request, signal: own.signal });
    if (!response.ok) throw await errorOf(response);
    return await read(response);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof ServiceError) throw error;
    if (own.signal.aborted) throw new ServiceError(504, "timed_out", `${url} did not answer in time.`, { cause: error });
    // fetch has a TypeError for everything from a refused connection to a broken one; the cause says which.
    if (!(error instanceof TypeError)) throw error;
    const cause = error.cause instanceof Error ? error.cause.message : error.message;
    throw new ServiceError(503, "unreachable", `${url} can't be reached: ${cause}.`, { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", leave);
  }
}

export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", leave);
      resolve();
    }, ms);
    if (signal?.aborted) leave();
    else signal?.addEventListener("abort", leave, { once: true });
  });
}
