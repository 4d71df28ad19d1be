// Schemas of OpenAPI as tables. A type that has fields of its own unfolds.

import { el } from "../parts/dom.js";

export function table(heads, rows) {
  const head = el("tr", {}, ...heads.map((name) => el("th", { scope: "col" }, name)));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, ...[cell].flat()))));
  return el("div", { className: "frame", tabIndex: 0, role: "group", "aria-label": heads.join(", ") }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
}

/** Text with `code` in it. */
export function prose(text = "") {
  return text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

const nameOf = ({ $ref }) => $ref.split("/").pop();

export class Schemas {
  constructor(all) {
    this.all = all;
  }

  resolve(schema) {
    return schema.$ref ? this.all[nameOf(schema)] : schema;
  }

  /** The type in words. */
  kind(schema) {
    if (schema.$ref) return nameOf(schema);
    if (schema.anyOf) return [...new Set(schema.anyOf.map((one) => this.kind(one)))].join(" or ");
    if (schema.enum) return schema.enum.join(", ");
    if ("const" in schema) return JSON.stringify(schema.const);
    if (schema.type === "array") return schema.items ? `list of ${this.kind(schema.items)}` : "list";
    return schema.type ?? "anything";
  }

  /** The names of the types within that have fields. */
  parts(schema) {
    if (schema.$ref) return this.resolve(schema).properties ? [nameOf(schema)] : this.parts(this.resolve(schema));
    return [...new Set([...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])].flatMap((one) => this.parts(one)))];
  }

  /**
   * The fields of an object, required ones first; of anything else its type.
   * @param {"request" | "answer"} role an answer's fields are there but for those that are named
   */
  describe(schema, role) {
    const { properties, required = [], ...other } = this.resolve(schema);
    if (!properties) return [el("p", { className: "note" }, `${this.kind(other)}. `, ...prose(other.description)), ...this.#nested(other, role)];
    const rows = Object.entries(properties).map(([name, field]) => [name, field, required.includes(name)]);
    if (rows.length === 0) return [el("p", { className: "note" }, "No fields.")];
    rows.sort(([, , a], [, , b]) => b - a);
    return [table(["field", "type", "meaning"], rows.map((row) => this.#row(...row, role)))];
  }

  #row(name, field, required, role) {
    const word = role === "request" ? required && "required" : !required && "not always";
    const label = word ? [" ", el("span", { className: "label" }, word)] : [];
    const preset = !required && field.default != null ? [" Default: ", el("code", {}, JSON.stringify(field.default)), "."] : [];
    return [[el("code", {}, name), ...label], this.kind(field), [...prose(field.description), ...preset, ...this.#nested(field, role)]];
  }

  #nested(schema, role) {
    return this.parts(schema).map((name) => {
      const box = el("details", { className: "nested" }, el("summary", {}, name));
      // Once, and not before: types may hold themselves.
      box.addEventListener("toggle", () => box.append(...this.describe(this.all[name], role)), { once: true });
      return box;
    });
  }
}
