// Thumbnails of images, in order, with their scores after ranking.

import { el, score } from "./dom.js";

export class Gallery {
  /** @param {HTMLOListElement} list @param {(picture: object) => void} alike called by "More like this" */
  constructor(list, alike) {
    this.list = list;
    this.alike = alike;
    this.pictures = [];
  }

  /** @param {{file: File, vector: Float32Array}[]} entries an image of the same name takes the old one's place */
  add(entries) {
    for (const { file, vector } of entries) {
      const picture = { name: file.name.replace(/\.\w+$/, ""), url: URL.createObjectURL(file), vector, file };
      const old = this.pictures.findIndex(({ name }) => name === picture.name);
      if (old < 0) this.pictures.push(picture);
      else {
        URL.revokeObjectURL(this.pictures[old].url);
        this.pictures[old] = picture;
      }
    }
    this.#show(this.pictures.map((picture) => ({ picture })));
  }

  clear() {
    for (const { url } of this.pictures) URL.revokeObjectURL(url);
    this.pictures = [];
    this.list.replaceChildren();
  }

  /** @param {{picture: object, score: number}[]} ranking best first @param {object | null} asked comes before them */
  order(ranking, asked = null) {
    this.#show(asked ? [{ picture: asked, asked: true }, ...ranking] : ranking);
    if (asked) this.list.querySelector("button").focus();
  }

  #show(entries) {
    this.list.replaceChildren(...entries.map((entry) => this.#thumbnail(entry)));
  }

  #thumbnail({ picture, score: value, asked = false }) {
    const image = el("img", { src: picture.url, alt: picture.name, width: 160, height: 160, decoding: "async" });
    const label = `More like ${picture.name}`;
    const button = el("button", { type: "button", "aria-label": label, title: label }, image);
    button.addEventListener("click", () => this.alike(picture));
    const mark = asked ? "asked" : value === undefined ? "" : score(value);
    const line = el("span", { className: "caption" }, el("span", { className: "name", title: picture.name }, picture.name));
    if (mark) line.append(el("span", { className: "score" }, mark));
    return el("li", { className: asked ? "is-asked" : "" }, button, line);
  }
}
