// One route: what it takes, what it answers, and a request to try.

import { copyButton } from "../parts/copy.js";
import { el } from "../parts/dom.js";
import { exampleOf, shown } from "./example.js";
import { prose, table } from "./schemas.js";
import { Trial } from "./trial.js";

const READABLE = ["application/json", "text/plain"];

export class Route {
  /** @param {import("./schemas.js").Schemas} schemas */
  constructor(method, path, it, schemas) {
    this.group = it.tags[0];
    const name = el("code", {}, el("span", { className: `method ${method}` }, method.toUpperCase()), ` ${path}`);
    this.box = el("details", { id: it.operationId, className: "route" }, el("summary", {}, name, el("span", { className: "about" }, ...prose(it.summary))));
    // The address names the route that was opened last, for who wants to pass it on.
    this.box.addEventListener("toggle", () => this.box.open && history.replaceState(null, "", `#${it.operationId}`));
    const { content: answer } = it.responses["200"];
    const sent = it.requestBody?.content["application/json"];
    this.words = [method, path, it.summary, this.group, ...[sent, answer["application/json"]].flatMap((one) => names(one?.schema, schemas))].join(" ").toLowerCase();
    const inside = el("div", { className: "inside" }, el("div", {}, this.#head(it), ...request(it, sent, schemas), ...responses(it, answer, schemas)));
    this.box.append(inside);
    const media = READABLE.find((one) => one in answer);
    if (!media) return;
    // An empty alternative means that no key is needed.
    const locked = it.security?.every((one) => Object.keys(one).length > 0) ?? false;
    const parameters = (it.parameters ?? []).filter((one) => one.in === "path");
    const example = sent && (sent.example ?? exampleOf(sent.schema, schemas));
    const trial = new Trial({ id: it.operationId, method: method.toUpperCase(), path, example, parameters, locked, isText: media === "text/plain" });
    inside.append(trial.node);
  }

  #head({ security, "x-scope": scope }) {
    const link = () => new URL(`#${this.box.id}`, location.href).href;
    const words = security ? `If keys are required, yours needs the scope ${scope}.` : "No key is needed.";
    return el("div", { className: "head" }, el("p", { className: "note" }, words), copyButton("Copy link", link));
  }
}

const names = (schema, schemas) => (schema ? Object.keys(schemas.resolve(schema).properties ?? {}) : []);

function request({ requestBody, parameters }, sent, schemas) {
  const rows = (parameters ?? []).map(({ name, in: place, description, schema }) => [el("code", {}, name), `${place}, ${schemas.kind(schema)}`, prose(description)]);
  return [
    ...(sent ? [el("h3", {}, "Request"), el("p", { className: "note" }, `${Object.keys(requestBody.content).join(", ")}. ${requestBody.description}`), ...schemas.describe(sent.schema, "request")] : []),
    ...(rows.length ? [el("h3", {}, "Parameters"), table(["parameter", "place and type", "meaning"], rows)] : []),
  ];
}

function responses({ responses }, answer, schemas) {
  const schema = answer["application/json"]?.schema;
  const rows = Object.entries(responses).map(([status, { description }]) => [status, description]);
  const described = schema && Object.keys(schema).length > 0;
  const example = described && el("pre", { tabIndex: 0, "aria-label": "Example answer" }, shown(exampleOf(schema, schemas)));
  return [
    ...(described ? [el("h3", {}, "Answer"), el("p", { className: "note" }, Object.keys(answer).join(", ")), ...schemas.describe(schema, "answer"), example] : []),
    el("h3", {}, "Statuses"),
    table(["status", "meaning"], rows),
  ];
}
