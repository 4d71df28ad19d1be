// The page: wires its panels to one another.

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
  // The samples show what the panel is for, as soon as there is a model to ask.
  if (!begun && health.status !== "starting") {
    begun = true;
    panels.sentences.compare();
  }
});
