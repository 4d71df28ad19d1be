// Search by meaning over pasted lines, a text file or a column of a table.

import { ranked } from "../math/cosine.js";
import { table } from "../math/csv.js";
import { Columns } from "../parts/columns.js";
import { byId, counted, el, score } from "../parts/dom.js";
import { takeFiles } from "../parts/drop.js";
import { facts, Foot } from "../parts/foot.js";
import { fill, keep } from "../parts/kept.js";
import { passages } from "../parts/passages.js";
import { Picker } from "../parts/picker.js";
import { PASSAGES, QUESTION } from "../parts/samples.js";
import { embedTexts, ServiceError } from "../parts/service.js";
import { Status } from "../parts/status.js";

const SHOWN = 5;
const BATCH = 128;
const MOST_PASSAGES = 2000;
const MOST_BYTES = 2 * 2 ** 20;

export function setUp(items) {
  const input = byId("search-passages");
  const status = new Status(byId("search-status"), clear);
  const known = new Map();
  const columns = new Columns(byId("search-columns"), (text) => {
    fill("search-passages", text);
    clear();
    status.say(`${counted(passages(text).length, "passage")}.`);
  });
  const picker = new Picker("search-model", ["text", "image"], () => byId("search-results").hasChildNodes() && run());
  const foot = new Foot(byId("search"), request, { links: true, failed: (text) => status.say(text, "error") });

  const query = () => byId("search-query").value.trim();
  const given = () => [...new Set(passages(input.value))];

  function request() {
    const texts = given().slice(0, MOST_PASSAGES);
    return query() && texts.length ? { query: query(), passages: texts, topK: SHOWN, model: picker.model } : null;
  }

  function clear() {
    byId("search-results").replaceChildren();
    foot.show(null);
    items.replace("passages", null, null, []);
  }

  function run() {
    const all = given();
    const texts = all.slice(0, MOST_PASSAGES);
    const text = query();
    if (texts.length === 0) return status.refuse("Paste some lines to search, or open a text file.");
    if (!text) return status.refuse("Write what you are looking for.");
    return status.during("Embedding …", async (current, progress) => {
      const started = performance.now();
      const asked = await embedTexts([text], { model: picker.model, inputType: "query" });
      const answers = [asked, ...(await embedMissing(texts, asked.space, progress, current))];
      if (!current()) return "";
      const vectors = texts.map((text) => known.get(text).vector);
      show(ranked(asked.vectors[0], vectors).slice(0, SHOWN).map(({ index, score }) => ({ text: texts[index], score })));
      const { space, model } = asked;
      const found = texts.map((text, i) => ({ kind: "passage", text, vector: vectors[i] }));
      const queries = [{ kind: "query", text, vector: asked.vectors[0] }];
      items.replace("passages", space, model, found);
      items.add("search queries", space, model, queries);
      foot.show({ model, space, items: [...queries, ...found] }, facts(answers));
      const cut = all.length > texts.length ? ` (the first ${texts.length.toLocaleString("en")} of ${all.length.toLocaleString("en")})` : "";
      const partly = texts.filter((text) => known.get(text).cut).length;
      const note = partly ? ` ${counted(partly, "passage")} ${partly === 1 ? "is" : "are"} longer than the model reads.` : "";
      return `${counted(texts.length, "passage")}${cut} searched in ${Math.round(performance.now() - started)} ms.${note}`;
    });
  }

  /** Passages of an earlier search are not sent again, unless the model has changed since. */
  async function embedMissing(texts, space, progress, current) {
    const missing = texts.filter((text) => known.get(text)?.space !== space);
    const answers = [];
    for (let done = 0; done < missing.length && current(); done += BATCH) {
      if (missing.length > BATCH) progress(`Embedding passages, ${done} of ${missing.length} …`);
      const batch = missing.slice(done, done + BATCH);
      const answer = await embedTexts(batch, { model: picker.model, inputType: "document" });
      batch.forEach((text, i) => known.set(text, { vector: answer.vectors[i], space: answer.space, cut: answer.truncated.has(i) }));
      answers.push(answer);
    }
    return answers;
  }

  function show(results) {
    byId("search-results").replaceChildren(...results.map(result));
  }

  function result({ text, score: value }) {
    const bar = el("span", { className: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", String(Math.min(Math.max(value, 0), 1)));
    const found = el("span", { className: "found" }, text);
    if (known.get(text).cut) found.append(" ", el("span", { className: "cut" }, "end not read"));
    const beside = columns.beside(text);
    if (beside) found.append(el("span", { className: "beside" }, beside));
    return el("li", {}, el("span", { className: "score" }, score(value)), found, bar);
  }

  /** What is no text is named; the rest is searched. */
  function open(files, folders) {
    const [first] = files;
    if (!first) return folders.length ? status.refuse(`${folders[0]} is a folder: drop its files.`) : undefined;
    return status.during(`Reading ${first.name} …`, async () => {
      const read = await Promise.all(files.map((file) => readText(file).catch((error) => error)));
      const texts = read.filter((text) => typeof text === "string");
      const refused = read.filter((text) => typeof text !== "string").map(({ message }) => message);
      if (texts.length === 0) throw new ServiceError(refused.join(" "));
      const found = files.length === 1 ? table(texts[0], first.name) : null;
      columns.show(found);
      if (!found) fill("search-passages", texts.join("\n"));
      clear();
      const names = files.filter((_, i) => typeof read[i] === "string").map(({ name }) => name).join(", ");
      return [`${names}: ${counted(passages(input.value).length, "passage")}.`, ...refused].join(" ");
    });
  }

  keep("search-passages", PASSAGES.join("\n"));
  keep("search-query", QUESTION);
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  takeFiles(byId("search-zone"), byId("search-file"), open);
  return { run, serve: (details) => picker.serve(details), status };
}

async function readText(file) {
  if (file.size > MOST_BYTES) throw new ServiceError(`${file.name} is larger than 2 MB. Use the command embed-corpus for large files.`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new ServiceError(`${file.name} is not a text file in UTF-8.`);
  }
}
