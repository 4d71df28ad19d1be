// The page: connects its panels.

import { Items } from "./parts/items.js";
import * as kept from "./parts/kept.js";
import * as key from "./parts/key.js";
import * as theme from "./parts/theme.js";
import * as images from "./panels/images.js";
import * as live from "./panels/live.js";
import * as map from "./panels/map.js";
import * as search from "./panels/search.js";
import * as sentences from "./panels/sentences.js";

theme.setUp();
key.setUp();
const shared = await kept.setUp();
const items = new Items();
map.setUp(items);
const panels = { images: images.setUp(items), search: search.setUp(items), sentences: sentences.setUp(items) };
let begun = false;
live.setUp(({ status, details }) => {
  for (const panel of Object.values(panels)) panel.serve(details);
  // Embed the samples as soon as a model is ready, to show the panel's purpose; then what a link shares.
  if (begun || status === "starting") return;
  begun = true;
  panels.sentences.run();
  if (shared.panel === "search" && !shared.broken) panels.search.run();
});
if (shared.broken) panels[shared.panel]?.status.say("This link is not whole: the samples are shown instead.", "error");
if (shared.panel) document.getElementById(shared.panel)?.scrollIntoView();
