// Image search by text or by another image.

import { ranked } from "../math/cosine.js";
import { byId, counted, score } from "../parts/dom.js";
import { drawn } from "../parts/drawing.js";
import { takeFiles } from "../parts/drop.js";
import { facts, Foot } from "../parts/foot.js";
import { Gallery } from "../parts/gallery.js";
import { keep } from "../parts/kept.js";
import { Picker } from "../parts/picker.js";
import { keepPictures, restored } from "../parts/pictures.js";
import { DRAWINGS, IMAGE_QUERY } from "../parts/samples.js";
import { embedImages, embedTexts } from "../parts/service.js";
import { Status } from "../parts/status.js";

const BATCH = 16;

export function setUp(items) {
  const status = new Status(byId("images-status"), () => gallery.order(gallery.pictures.map((picture) => ({ picture }))));
  const gallery = new Gallery(byId("gallery"), alike);
  // Vectors of two models can't be compared.
  const picker = new Picker("images-model", ["image"], () => add(added()));
  const foot = new Foot(byId("images"), request);
  const query = () => byId("images-query").value.trim();
  const added = () => gallery.pictures.map(({ file }) => file);
  let space = null;
  let before = restored();

  function request() {
    const images = added().map(({ name }) => name);
    return images.length && query() ? { query: query(), images, model: picker.model } : null;
  }

  /** Embeds the files in batches; what is no image, or what the service refuses, is named and left out. */
  function add(given, folders = []) {
    if (given.length + folders.length === 0) return undefined;
    const files = given.filter(({ type }) => type.startsWith("image/") || !type);
    const others = given.filter((file) => !files.includes(file));
    return status.during("Embedding images …", async (current, progress) => {
      const refused = [
        ...others.map(({ name, type }) => `${name} is no image and is skipped${type.startsWith("text/") ? ": search it above" : ""}.`),
        ...folders.map((name) => `${name} is a folder and is skipped: drop its images.`),
      ];
      const keeping = keepPictures([...new Set([...added(), ...files])]);
      const queue = [...files];
      while (queue.length > 0 && current()) {
        if (files.length > BATCH) progress(`Embedding images, ${files.length - queue.length} of ${files.length} …`);
        const batch = queue.splice(0, BATCH);
        await embedBatch(batch, refused);
      }
      const kept = await (refused.length ? keepPictures(added()) : keeping);
      const lost = kept < added().length ? ` A reload keeps ${kept ? `the first ${kept}` : "none"} of them.` : "";
      const done = `${counted(added().length, "image")} here.${lost}`;
      if (refused.length === 0) return done;
      throw Object.assign(new Error(`${refused.join(" ")} ${done}`), { status: 400 });
    });
  }

  async function embedBatch(files, refused) {
    while (files.length > 0) {
      try {
        const answer = await embedImages(files, picker.model);
        if (space !== answer.space) gallery.clear();
        space = answer.space;
        gallery.add(files.map((file, i) => ({ file, vector: answer.vectors[i] })));
        tell(answer);
        return;
      } catch (error) {
        const bad = /^images\.(\d+)/.exec(error.param ?? "");
        if (!bad || !files[bad[1]]) throw error;
        refused.push(`${files[bad[1]].name}: ${error.message}`);
        files.splice(Number(bad[1]), 1);
      }
    }
  }

  function tell(answer) {
    const shown = gallery.pictures.map(({ name: text, url, vector }) => ({ kind: "image", text, picture: url, vector }));
    items.replace("images", space, answer.model, shown);
    foot.show({ model: answer.model, space, items: shown }, facts([answer]));
    byId("images-clear").hidden = gallery.pictures.length === 0;
  }

  function run() {
    const text = query();
    if (gallery.pictures.length === 0) return status.refuse("Add some images first, or draw samples.");
    if (!text) return status.refuse("Write what the image should show.");
    return status.during("Searching …", async (current) => {
      const answer = await embedTexts([text], { model: picker.model });
      if (!current()) return "";
      const queries = [{ kind: "query", text, vector: answer.vectors[0] }];
      items.add("image queries", answer.space, answer.model, queries);
      const shown = gallery.pictures.map(({ name, vector }) => ({ text: name, vector }));
      foot.show({ model: answer.model, space: answer.space, items: [...queries, ...shown] }, facts([answer]));
      return rank(answer.vectors[0], `“${text}”`);
    });
  }

  /** Ranks the others by how like one of them they are. */
  function alike(picture) {
    return status.during("Searching …", () => rank(picture.vector, picture.name, picture));
  }

  function rank(vector, label, without = null) {
    const pictures = gallery.pictures.filter((picture) => picture !== without);
    const order = ranked(vector, pictures.map((picture) => picture.vector));
    gallery.order(order.map(({ index, score }) => ({ picture: pictures[index], score })), without);
    if (order.length === 0) return "There is no other image yet.";
    return `Nearest to ${label}: ${pictures[order[0].index].name}, ${score(order[0].score)}.`;
  }

  keep("images-query", IMAGE_QUERY);
  byId("images-form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  byId("images-samples").addEventListener("click", async () => add(await Promise.all(DRAWINGS.map((it) => drawn(...it)))));
  byId("images-clear").addEventListener("click", () => {
    gallery.clear();
    keepPictures([]);
    items.replace("images", space, null, []);
    items.replace("image queries", space, null, []);
    byId("images-clear").hidden = true;
    foot.show(null);
    status.say("");
    byId("images-samples").focus();
  });
  takeFiles(byId("images-zone"), byId("images-file"), add);
  return {
    run,
    status,
    /** @param {object[]} all that `/health` says of the models */
    serve(all) {
      picker.serve(all);
      const details = all.filter(({ kind }) => kind === "image");
      const detail = details.find(({ id }) => id === picker.model) ?? details[0];
      byId("images-about").textContent = about(detail);
      if (detail?.status === "ready") {
        before?.then((pictures) => add(pictures));
        before = null;
      }
      for (const control of byId("images").querySelectorAll(".zone :is(button, input), form :is(button, input)")) control.disabled = detail?.status !== "ready";
    },
  };
}

function about(detail) {
  if (!detail) return "This service has no image model. Set one with IMAGE_MODEL.";
  if (detail.status === "loading") return `${detail.id} is still loading.`;
  if (detail.status === "unavailable") return `${detail.id} is unavailable: ${detail.reason}`;
  return detail.note ?? `${detail.id} embeds images and texts.`;
}
