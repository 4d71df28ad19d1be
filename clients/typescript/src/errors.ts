/** The error of every call that failed, with what the service said of it. */

/** What is thrown by every method, but for an aborted one, which throws its signal's reason as `fetch` does. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  /** The HTTP status; without a response what a gateway would have sent: 503 or 504. */
  readonly status: number;
  /** For programs, e.g. `invalid_request`; without a response `unreachable`, `timed_out` or `unreadable_answer`. */
  readonly code: string;
  /** The field at fault, e.g. `texts.3`, counted in your list. */
  readonly param: string | null;
  /** Identifies the request in the service's log. */
  readonly requestId: string | null;
  /** Milliseconds after which a retry makes sense. */
  readonly retryAfterMs: number | null;
  /** About so many items would have been in time, of a request that was not. */
  readonly maxItems: number | null;

  constructor(
    status: number,
    code: string,
    message: string,
    more: {
      param?: string | null;
      requestId?: string | null;
      retryAfterMs?: number | null;
      maxItems?: number | null;
      cause?: unknown;
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.status = status;
    this.code = code;
    this.param = more.param ?? null;
    this.requestId = more.requestId ?? null;
    this.retryAfterMs = more.retryAfterMs ?? null;
    this.maxItems = more.maxItems ?? null;
  }
}

/** The error of a response that is not ok; those of gateways have no body that we know. */
export async function errorOf(response: Response): Promise<ServiceError> {
  const text = await response.text();
  let body: { code?: string; message?: string; param?: string | null; requestId?: string } = {};
  try {
    body = JSON.parse(text)?.error ?? {};
  } catch {
    // A page of a gateway.
  }
  const excerpt = text.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ").trim().slice(0, 200);
  const about = `The response is ${response.status} ${response.statusText}: ${excerpt || "its body is empty"}`;
  const most = Number.parseInt(response.headers.get("x-embedding-max-items") ?? "", 10);
  return new ServiceError(response.status, body.code ?? `http_${response.status}`, body.message ?? about, {
    param: body.param,
    requestId: body.requestId ?? response.headers.get("x-request-id"),
    retryAfterMs: retryAfterMs(response.headers),
    maxItems: Number.isNaN(most) ? null : most,
  });
}

/** The same error, its index counted in all items instead of in the request's. */
export function shifted(error: ServiceError, field: string, by: number): ServiceError {
  const found = by > 0 && error.param?.match(new RegExp(`^${field}\\.(\\d+)(.*)$`));
  if (!found) return error;
  const param = `${field}.${Number(found[1]) + by}${found[2]}`;
  const message = error.message.replaceAll(`\`${error.param}\``, `\`${param}\``);
  return new ServiceError(error.status, error.code, message, { ...error, param });
}

/** From `Retry-After`, seconds or a date, which is relative to the sender's clock. */
function retryAfterMs(headers: Headers): number | null {
  const value = headers.get("retry-after")?.trim() ?? "";
  if (/^\d{1,9}(\.\d*)?$/.test(value)) return Number(value) * 1000;
  const then = Date.parse(value);
  const now = Date.parse(headers.get("date") ?? "");
  return Number.isNaN(then) ? null : Math.max(0, then - (Number.isNaN(now) ? Date.now() : now));
}
