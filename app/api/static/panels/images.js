// Image search by text or by another image.

import { ranked } from "../math/cosine.js";
import { byId, counted, score } from "../parts/dom.js";
import { drawn } from "../parts/drawing.js";
import { takeFiles } from "../parts/drop.js";
import { Gallery } from "../parts/gallery.js";
import { DRAWINGS, IMAGE_QUERY } from "../parts/samples.js";
import { embedImages, embedTexts } from "../parts/service.js";
import { Status } from "../parts/status.js";

const BATCH = 16;

export function setUp(items) {
  const status = new Status(byId("images-status"));
  const gallery = new Gallery(byId("gallery"), alike);
  let model = null;
  let space = null;

  /** Embeds the files in batches; what the service refuses is named and left out. */
  function add(files) {
    if (files.length === 0) return undefined;
    return status.during("Embedding images …", async (current, progress) => {
      const refused = [];
      const queue = [...files];
      while (queue.length > 0 && current()) {
        if (files.length > BATCH) progress(`Embedding images, ${files.length - queue.length} of ${files.length} …`);
        const batch = queue.splice(0, BATCH);
        await embedBatch(batch, refused);
      }
      const done = `${counted(gallery.pictures.length, "image")} here.`;
      if (refused.length === 0) return done;
      throw Object.assign(new Error(`${refused.join(" ")} ${done}`), { status: 400 });
    });
  }

  async function embedBatch(files, refused) {
    while (files.length > 0) {
      try {
        const answer = await embedImages(files, model);
        if (space !== answer.space) gallery.clear();
        space = answer.space;
        gallery.add(files.map((file, i) => ({ file, vector: answer.vectors[i] })));
        tell(answer.model);
        return;
      } catch (error) {
        const bad = /^images\.(\d+)/.exec(error.param ?? "");
        if (!bad || !files[bad[1]]) throw error;
        refused.push(`${files[bad[1]].name}: ${error.message}`);
        files.splice(Number(bad[1]), 1);
      }
    }
  }

  function tell(name) {
    const shown = gallery.pictures.map(({ name: text, url, vector }) => ({ kind: "image", text, picture: url, vector }));
    items.replace("images", space, name, shown);
    byId("images-clear").hidden = gallery.pictures.length === 0;
  }

  function search() {
    const query = byId("images-query").value.trim();
    if (gallery.pictures.length === 0) return status.during("", () => "Add some images first, or draw samples.");
    if (!query) return status.during("", () => "Write what the image should show.");
    return status.during("Searching …", async (current) => {
      const answer = await embedTexts([query], { model });
      if (!current()) return "";
      items.add("image queries", answer.space, answer.model, [{ kind: "query", text: query, vector: answer.vectors[0] }]);
      return rank(answer.vectors[0], `“${query}”`);
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

  byId("images-query").value = IMAGE_QUERY;
  byId("images-form").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  byId("images-samples").addEventListener("click", async () => add(await Promise.all(DRAWINGS.map((it) => drawn(...it)))));
  byId("images-clear").addEventListener("click", () => {
    gallery.clear();
    items.replace("images", space, null, []);
    items.replace("image queries", space, null, []);
    byId("images-clear").hidden = true;
    status.say("");
    byId("images-samples").focus();
  });
  takeFiles(byId("images-zone"), byId("images-file"), (files) => add(files.filter((file) => file.type.startsWith("image/") || !file.type)));
  return {
    /** What `/health` says of the first image model. */
    serve(detail) {
      model = detail?.id ?? null;
      byId("images-model").textContent = about(detail);
      for (const control of byId("images").querySelectorAll("button, input")) control.disabled = detail?.status !== "ready";
    },
  };
}

function about(detail) {
  if (!detail) return "This service has no image model. Set one with IMAGE_MODEL.";
  if (detail.status === "loading") return `${detail.id} is still loading.`;
  if (detail.status === "unavailable") return `${detail.id} is unavailable: ${detail.reason}`;
  return detail.note ?? `${detail.id} embeds images and texts.`;
}
