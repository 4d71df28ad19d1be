// The page of the routes, generated from openapi.json.

import { el } from "./parts/dom.js";
import * as theme from "./parts/theme.js";

const DOCUMENT = new URL("../openapi.json", import.meta.url);

function kind(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(kind).join(" | ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${kind(schema.items ?? {})}`;
  return schema.type ?? "any";
}

function table(heads, rows) {
  const head = el("tr", {}, ...heads.map((name) => el("th", { scope: "col" }, name)));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, cell))));
  return el("div", { className: "frame", tabIndex: 0, role: "group", "aria-label": heads.join(", ") }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
}

function fields(schema, all) {
  const resolved = schema?.$ref ? all[schema.$ref.split("/").pop()] : schema;
  if (!resolved?.properties) return [];
  const must = resolved.required ?? [];
  const rows = Object.entries(resolved.properties).map(([name, field]) => [
    el("code", {}, name),
    kind(field),
    `${field.description ?? ""}${must.includes(name) ? "" : " (optional)"}`,
  ]);
  return [table(["field", "type", "meaning"], rows)];
}

function command(path, example, needsKey) {
  const key = needsKey ? ' -H "Authorization: Bearer $API_KEY"' : "";
  const body = JSON.stringify(example).replaceAll("'", "'\\''");
  const url = new URL(path.slice(1), DOCUMENT);
  return el("pre", { tabIndex: 0, "aria-label": "Example" }, `curl -s ${url}${key} -H 'content-type: application/json' -d '${body}'`);
}

function route(method, path, it, all) {
  const name = el("code", {}, el("span", { className: `method ${method}` }, method.toUpperCase()), ` ${path}`);
  const box = el("details", {}, el("summary", {}, name, el("span", { className: "about" }, it.summary)));
  if (it.security) box.append(el("p", { className: "note" }, `If keys are required, yours needs the scope ${it["x-scope"]}.`));
  const sent = it.requestBody?.content["application/json"];
  if (sent) {
    box.append(el("h2", {}, "Request"), ...fields(sent.schema, all));
    // An empty alternative means that no key is needed.
    const needsKey = it.security?.every((one) => Object.keys(one).length > 0) ?? false;
    if (sent.example) box.append(command(path, sent.example, needsKey));
  }
  const answer = it.responses["200"].content["application/json"];
  if (answer?.schema.$ref) box.append(el("h2", {}, "Answer"), ...fields(answer.schema, all));
  const statuses = Object.entries(it.responses).map(([status, { description }]) => [status, description]);
  box.append(el("h2", {}, "Statuses"), table(["status", "meaning"], statuses));
  return box;
}

theme.setUp();
const list = document.getElementById("routes");
try {
  const { paths, components } = await (await fetch(DOCUMENT)).json();
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, it]) => route(method, path, it, components.schemas)),
  );
  list.replaceChildren(...routes);
} catch (error) {
  list.textContent = `openapi.json can't be read: ${error.message}`;
}
