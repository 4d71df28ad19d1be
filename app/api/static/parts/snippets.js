// A panel's request as code that runs: curl, Python and TypeScript. A key is read from the environment, never written.

import { ROOT } from "./service.js";

/**
 * @typedef {{texts: string[], model?: string}
 *   | {query: string, passages: string[], topK: number, model?: string}
 *   | {query: string, images: string[], model?: string}
 *   | {paths: string[]}} Request of a panel; `images` are names of files
 */

const BASE = ROOT.href.replace(/\/$/, "");

/** @param {Request} request @param {boolean} locked whether the service asks for a key */
export function curl({ texts, query, passages, images, paths, model, topK }, locked) {
  const key = locked ? ['-H "authorization: Bearer $EMBEDDING_API_KEY"'] : [];
  const call = (path, ...options) => [`curl -sS ${shell(`${BASE}/${path}`)}`, ...key, ...options].join(" \\\n  ");
  const post = (path, body) =>
    lines(call(path, "-H 'content-type: application/json'", "--data-binary @- <<'JSON'"), JSON.stringify(body, null, 2), "JSON");
  if (paths) return lines(...paths.map((path) => call(path)));
  if (texts) return post("embed/text", { texts, model });
  if (passages) return post("search", { query: { text: query }, candidates: passages.map((text) => ({ text })), topK, model });
  const form = [...(model ? [`model=${model}`] : []), ...images.map((name) => `images=@"${name.replace(/["\\]/g, "\\$&")}"`)];
  return lines(call("embed/image", ...form.map((part) => `-F ${shell(part)}`)));
}

/** @param {Request} request @param {boolean} locked */
export function python({ texts, query, passages, images, paths, model, topK }, locked) {
  const os = locked ? ["import os"] : [];
  const key = 'os.environ["EMBEDDING_API_KEY"]';
  if (paths) {
    const asked = (path) => (locked ? `Request("${BASE}/${path}", headers={"authorization": "Bearer " + ${key}})` : `"${BASE}/${path}"`);
    const calls = paths.map((path) => `print(urlopen(${asked(path)}).read().decode())`);
    return lines(...os, `from urllib.request import ${locked ? "Request, " : ""}urlopen`, "", ...calls);
  }
  const client = `with EmbeddingClient(${literal(BASE)}${locked ? `, api_key=${key}` : ""}) as client:`;
  const named = model ? `, model=${literal(model)}` : "";
  const found = (names, shown, more = "") => [
    client,
    `    for index, score in client.search(${literal(query)}, ${names}${more}${named}):`,
    `        print(f"{score:.2f}", ${shown})`,
  ];
  const start = (...imports) => [...os, ...imports, ...(os.length + imports.length ? [""] : []), "from embeddings_client import EmbeddingClient", ""];
  if (texts)
    return lines(...start(), `texts = ${list(texts)}`, "", client, `    vectors = client.embed_texts(texts${named})`, "", "print(vectors @ vectors.T)  # how similar each is to each");
  if (passages) return lines(...start(), `passages = ${list(passages)}`, "", ...found("passages", "passages[index]", `, top_k=${topK}`));
  return lines(...start("from pathlib import Path"), `images = [Path(name) for name in ${list(images)}]`, "", ...found("images", "images[index].name"));
}

/** @param {Request} request @param {boolean} locked */
export function typescript({ texts, query, passages, images, paths, model, topK }, locked) {
  const key = "process.env.EMBEDDING_API_KEY";
  if (paths) {
    const headers = locked ? `, { headers: { authorization: \`Bearer \${${key}}\` } }` : "";
    return lines(...paths.map((path) => `console.log(await (await fetch("${BASE}/${path}"${headers})).text());`));
  }
  const imports = 'import { EmbeddingClient } from "embeddings-client";';
  const client = `const client = new EmbeddingClient({ url: ${literal(BASE)}${locked ? `, apiKey: ${key}` : ""} });`;
  const options = (...more) => {
    const all = [...more, ...(model ? [`model: ${literal(model)}`] : [])];
    return all.length ? `, { ${all.join(", ")} }` : "";
  };
  const found = (names, shown, ...more) => [
    `const { results } = await client.search(${literal(query)}, ${names}${options(...more)});`,
    `for (const { index, score } of results) console.log(score.toFixed(2), ${shown});`,
  ];
  if (texts)
    return lines(imports, "", client, `const texts = ${list(texts)};`, "", `const { vectors, tokens } = await client.embedTexts(texts${options()});`, "console.log(vectors.length, vectors[0].length, tokens);");
  if (passages) return lines(imports, "", client, `const passages = ${list(passages)};`, "", ...found("passages", "passages[index]", `topK: ${topK}`));
  return lines(
    'import { readFile } from "node:fs/promises";', imports, "", client, `const names = ${list(images)};`,
    "const images = await Promise.all(names.map((name) => readFile(name)));", "", ...found("images", "names[index]"),
  );
}

const lines = (...all) => all.map((line) => `${line}\n`).join("");
/** A string of JSON is one of Python and of TypeScript too. */
const literal = (text) => JSON.stringify(text);
const list = (texts) => `[\n${texts.map((text) => `    ${literal(text)},\n`).join("")}]`;
const shell = (text) => (/^[\w:/.@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
