// The page: connects its panels.

import { Items } from "./parts/items.js";
import * as key from "./parts/key.js";
import * as theme from "./parts/theme.js";
import * as images from "./panels/images.js";
import * as live from "./panels/live.js";
import * as map from "./panels/map.js";
import * as search from "./panels/search.js";
import * as sentences from "./panels/sentences.js";

theme.setUp();
key.setUp();
const items = new Items();
map.setUp(items);
const panels = { images: images.setUp(items), search: search.setUp(items), sentences: sentences.setUp(items) };
let begun = false;
live.setUp((health) => {
  panels.images.serve(health.details.find(({ kind }) => kind === "image"));
  // Embed the samples as soon as a model is ready, to show the panel's purpose.
  if (!begun && health.status !== "starting") {
    begun = true;
    panels.sentences.compare();
  }
});
