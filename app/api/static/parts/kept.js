// What people write: kept in this tab over a reload, and put into a link by which others see the same. The link's
// state stands in its fragment, which no browser sends to a service.

import { byId } from "./dom.js";

const STORE = "embedding-service-input";
const LINK = /^#(\w+)\?(.+)$/;
const MOST = 32_000;
const fields = new Map();
let stored = {};

/** Reads what was kept, or what a link holds. @returns {Promise<{panel?: string, broken?: boolean}>} of the link */
export async function setUp() {
  // Where the page is open already, a link only changes the fragment.
  addEventListener("hashchange", () => LINK.test(location.hash) && location.reload());
  try {
    stored = JSON.parse(sessionStorage.getItem(STORE)) ?? {};
  } catch {
    stored = {};
  }
  const [, panel, state] = LINK.exec(location.hash) ?? [];
  if (!panel) return {};
  history.replaceState(null, "", `#${panel}`);
  try {
    const shared = JSON.parse(await unpacked(state));
    for (const [name, value] of Object.entries(shared)) if (typeof value === "string") stored[`${panel}-${name}`] = value;
    return { panel };
  } catch {
    return { panel, broken: true };
  }
}

/** Fills a field with what was kept for it, else with `initial`, and keeps what is written from now on. */
export function keep(id, initial) {
  const field = byId(id);
  fields.set(id, field);
  field.value = stored[id] ?? initial;
  field.addEventListener("input", store);
}

/** What a field that is filled later, such as a list of models, was left at. */
export function last(id) {
  return stored[id];
}

/** As if a person had written it. */
export function fill(id, value) {
  byId(id).value = value;
  store();
}

function store() {
  // A list of models is empty until they are known.
  for (const [id, field] of fields) if (field.value || field.type !== "select-one") stored[id] = field.value;
  try {
    sessionStorage.setItem(STORE, JSON.stringify(stored));
  } catch {
    // More than a tab may keep: what is written stays until the page is left.
    sessionStorage.removeItem(STORE);
  }
}

/** A link to this page with a panel's fields. */
export async function link(panel) {
  const own = [...fields].filter(([id, { value }]) => id.startsWith(`${panel}-`) && value);
  const state = Object.fromEntries(own.map(([id, { value }]) => [id.slice(panel.length + 1), value]));
  const url = new URL(`#${panel}?${await packed(JSON.stringify(state))}`, location.href).href;
  if (url.length <= MOST) return url;
  throw new Error(`This is too much for a link: ${url.length.toLocaleString("en")} characters, and many programs cut links of more than ${MOST.toLocaleString("en")}.`);
}

const through = (bytes, stream) => new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();

async function packed(text) {
  const bytes = new Uint8Array(await through(text, new CompressionStream("deflate-raw")));
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function unpacked(text) {
  const letters = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  return new TextDecoder("utf-8", { fatal: true }).decode(await through(bytes, new DecompressionStream("deflate-raw")));
}
