// Search by meaning over pasted lines or a text file.

import { ranked } from "../math/cosine.js";
import { byId, counted, el, score } from "../parts/dom.js";
import { takeFiles } from "../parts/drop.js";
import { passages } from "../parts/passages.js";
import { PASSAGES, QUESTION } from "../parts/samples.js";
import { embedTexts, ServiceError } from "../parts/service.js";
import { Status } from "../parts/status.js";

const SHOWN = 5;
const BATCH = 128;
const MOST_PASSAGES = 2000;
const MOST_BYTES = 2 * 2 ** 20;

export function setUp(items) {
  const input = byId("search-passages");
  const status = new Status(byId("search-status"));
  const known = new Map();

  function search() {
    const query = byId("search-query").value.trim();
    const all = [...new Set(passages(input.value))];
    const texts = all.slice(0, MOST_PASSAGES);
    if (texts.length === 0) return status.during("", () => "Paste some lines to search, or open a text file.");
    if (!query) return status.during("", () => "Write what you are looking for.");
    return status.during("Embedding …", async (current, progress) => {
      const started = performance.now();
      const asked = await embedTexts([query], { inputType: "query" });
      await embedMissing(texts, asked.space, progress, current);
      if (!current()) return "";
      const vectors = texts.map((text) => known.get(text).vector);
      show(ranked(asked.vectors[0], vectors).slice(0, SHOWN).map(({ index, score }) => ({ text: texts[index], score })));
      items.replace("passages", asked.space, asked.model, texts.map((text, i) => ({ kind: "passage", text, vector: vectors[i] })));
      items.add("search queries", asked.space, asked.model, [{ kind: "query", text: query, vector: asked.vectors[0] }]);
      const cut = all.length > texts.length ? ` (the first ${texts.length.toLocaleString("en")} of ${all.length.toLocaleString("en")})` : "";
      return `${counted(texts.length, "passage")}${cut} searched in ${Math.round(performance.now() - started)} ms.`;
    });
  }

  /** Passages of an earlier search are not sent again, unless the model has changed since. */
  async function embedMissing(texts, space, progress, current) {
    const missing = texts.filter((text) => known.get(text)?.space !== space);
    for (let done = 0; done < missing.length && current(); done += BATCH) {
      if (missing.length > BATCH) progress(`Embedding passages, ${done} of ${missing.length} …`);
      const batch = missing.slice(done, done + BATCH);
      const { vectors, space } = await embedTexts(batch, { inputType: "document" });
      batch.forEach((text, i) => known.set(text, { vector: vectors[i], space }));
    }
  }

  function show(results) {
    byId("search-results").replaceChildren(...results.map(result));
  }

  function open([file]) {
    if (!file) return undefined;
    return status.during(`Reading ${file.name} …`, async () => {
      input.value = await readText(file);
      show([]);
      return `${file.name}: ${counted(passages(input.value).length, "passage")}.`;
    });
  }

  input.value = PASSAGES.join("\n");
  byId("search-query").value = QUESTION;
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  takeFiles(byId("search-zone"), byId("search-file"), open);
  return { search };
}

async function readText(file) {
  if (file.size > MOST_BYTES) throw new ServiceError(`${file.name} is larger than 2 MB. Use the command embed-corpus for large files.`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new ServiceError(`${file.name} is not a text file in UTF-8.`);
  }
}

function result({ text, score: value }) {
  const bar = el("span", { className: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", String(Math.min(Math.max(value, 0), 1)));
  return el("li", {}, el("span", { className: "score" }, score(value)), el("span", { className: "found" }, text), bar);
}
