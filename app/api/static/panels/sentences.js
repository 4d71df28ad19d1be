// Pairwise similarity of sentences.

import { similarities } from "../math/cosine.js";
import { byId, counted, score, shortened } from "../parts/dom.js";
import { Heatmap } from "../parts/heatmap.js";
import { lines } from "../parts/passages.js";
import { SENTENCES } from "../parts/samples.js";
import { embedTexts } from "../parts/service.js";
import { Status } from "../parts/status.js";

const MOST = 40;
const PAUSE_MS = 600;

export function setUp(items) {
  const input = byId("sentences-input");
  const status = new Status(byId("sentences-status"));
  const heatmap = new Heatmap(byId("heatmap"), byId("heatmap-readout"));
  let timer = 0;

  function compare() {
    clearTimeout(timer);
    const given = lines(input.value);
    const texts = given.slice(0, MOST);
    if (texts.length < 2) {
      heatmap.show([], []);
      byId("heatmap-box").hidden = true;
      return status.during("", () => "Write at least two lines.");
    }
    return status.during("Embedding …", async (current) => {
      const { vectors, space, model } = await embedTexts(texts);
      if (!current()) return "";
      const rows = similarities(vectors);
      heatmap.show(texts, rows);
      byId("heatmap-box").hidden = false;
      items.replace("sentences", space, model, texts.map((text, i) => ({ kind: "sentence", text, vector: vectors[i] })));
      return summary(texts, rows, given.length);
    });
  }

  input.value = SENTENCES.join("\n");
  byId("sentences-form").addEventListener("submit", (event) => {
    event.preventDefault();
    compare();
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(compare, PAUSE_MS);
  });
  return { compare };
}

function summary(texts, rows, given) {
  let [first, second] = [0, 1];
  for (let i = 0; i < texts.length; i++)
    for (let j = i + 1; j < texts.length; j++) if (rows[i][j] > rows[first][second]) [first, second] = [i, j];
  const pair = `“${shortened(texts[first], 60)}” and “${shortened(texts[second], 60)}”`;
  const cut = given > texts.length ? ` Of ${counted(given, "line")} the first ${texts.length} are compared.` : "";
  return `Closest: ${pair}, ${score(rows[first][second])}.${cut}`;
}
