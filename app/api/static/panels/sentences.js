// Pairwise similarity of sentences.

import { similarities } from "../math/cosine.js";
import { byId, counted, score, shortened } from "../parts/dom.js";
import { facts, Foot } from "../parts/foot.js";
import { Heatmap } from "../parts/heatmap.js";
import { keep } from "../parts/kept.js";
import { lines } from "../parts/passages.js";
import { Picker } from "../parts/picker.js";
import { SENTENCES } from "../parts/samples.js";
import { embedTexts } from "../parts/service.js";
import { Status } from "../parts/status.js";

const MOST = 40;
const PAUSE_MS = 600;

export function setUp(items) {
  const input = byId("sentences-input");
  const status = new Status(byId("sentences-status"), clear);
  const heatmap = new Heatmap(byId("heatmap"), byId("heatmap-readout"));
  const picker = new Picker("sentences-model", ["text", "image"], run);
  const foot = new Foot(byId("sentences"), request, { links: true, failed: (text) => status.say(text, "error") });
  let timer = 0;

  function request() {
    const texts = lines(input.value).slice(0, MOST);
    return texts.length ? { texts, model: picker.model } : null;
  }

  function clear() {
    heatmap.show([], []);
    byId("heatmap-box").hidden = true;
    foot.show(null);
    items.replace("sentences", null, null, []);
  }

  function run() {
    clearTimeout(timer);
    const given = lines(input.value);
    const texts = given.slice(0, MOST);
    if (texts.length < 2) return status.refuse("Write at least two lines.");
    return status.during("Embedding …", async (current) => {
      const answer = await embedTexts(texts, { model: picker.model });
      if (!current()) return "";
      const { vectors, space, model, truncated } = answer;
      const rows = similarities(vectors);
      heatmap.show(texts, rows, truncated);
      byId("heatmap-box").hidden = false;
      const shown = texts.map((text, i) => ({ kind: "sentence", text, vector: vectors[i] }));
      items.replace("sentences", space, model, shown);
      foot.show({ model, space, items: shown }, facts([answer]));
      return summary(texts, rows, given.length) + cut(truncated);
    });
  }

  keep("sentences-input", SENTENCES.join("\n"));
  byId("sentences-form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(run, PAUSE_MS);
  });
  return { run, serve: (details) => picker.serve(details), status };
}

function summary(texts, rows, given) {
  let [first, second] = [0, 1];
  for (let i = 0; i < texts.length; i++)
    for (let j = i + 1; j < texts.length; j++) if (rows[i][j] > rows[first][second]) [first, second] = [i, j];
  const pair = `“${shortened(texts[first], 60)}” and “${shortened(texts[second], 60)}”`;
  const cut = given > texts.length ? ` Of ${counted(given, "line")} the first ${texts.length} are compared.` : "";
  return `Closest: ${pair}, ${score(rows[first][second])}.${cut}`;
}

function cut(truncated) {
  if (truncated.size === 0) return "";
  const [first, ...more] = [...truncated].map((index) => index + 1);
  const which = more.length === 0 ? `Line ${first} is` : more.length === 1 ? `Lines ${first} and ${more[0]} are` : `Lines ${[first, ...more.slice(0, -1)].join(", ")} and ${more.at(-1)} are`;
  return ` ${which} longer than the model reads: the end is left out.`;
}
