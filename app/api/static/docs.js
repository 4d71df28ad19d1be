// The page of the routes, generated from openapi.json.

import { counted, el } from "./parts/dom.js";
import * as key from "./parts/key.js";
import * as theme from "./parts/theme.js";
import { Route } from "./routes/route.js";
import { Schemas } from "./routes/schemas.js";

const DOCUMENT = new URL("../openapi.json", import.meta.url);
const list = document.getElementById("routes");

function section(title, routes) {
  return el("section", { className: "group", "aria-label": title }, el("h2", {}, title), ...routes.map(({ box }) => box));
}

function search(routes) {
  const field = document.getElementById("find");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const route of routes) route.box.hidden = !words.every((word) => route.words.includes(word));
    for (const group of list.children) group.hidden = !group.querySelector(".route:not([hidden])");
    const left = routes.filter(({ box }) => !box.hidden).length;
    document.getElementById("found").textContent = words.length ? `${counted(left, "route")} of ${routes.length}.` : "";
  });
  document.getElementById("find-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const first = routes.find(({ box }) => !box.hidden);
    if (field.value.trim() && first) location.hash = first.box.id;
  });
}

/** Opens the route that the address names. */
function openNamed() {
  const box = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!box?.matches(".route")) return;
  box.hidden = box.parentElement.hidden = false;
  box.open = true;
  box.scrollIntoView();
}

theme.setUp();
key.setUp();
try {
  const { paths, components, tags } = await (await fetch(DOCUMENT)).json();
  const schemas = new Schemas(components.schemas);
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, it]) => new Route(method, path, it, schemas)),
  );
  list.replaceChildren(...tags.map(({ name }) => section(name, routes.filter(({ group }) => group === name))));
  search(routes);
  openNamed();
  addEventListener("hashchange", openNamed);
} catch (error) {
  list.textContent = `openapi.json can't be read: ${error.message}`;
}
