// A request as code that runs: curl, Python and TypeScript. A key is read from the environment, never written.

/** @typedef {{method: string, url: string, body?: unknown, locked: boolean, isText: boolean}} Call */

const KEY = "EMBEDDING_API_KEY";

/** @type {Record<string, (call: Call) => string>} */
export const LANGUAGES = { curl, Python: python, TypeScript: typescript };

function curl({ method, url, body, locked }) {
  const parts = [`curl -sS ${quoted(url)}`];
  if (method !== "GET" && body === undefined) parts.push(`-X ${method}`);
  if (locked) parts.push(`-H "authorization: Bearer $${KEY}"`);
  if (body !== undefined) parts.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(body, null, 2))}`);
  return parts.join(" \\\n  ");
}

function python({ method, url, body, locked, isText }) {
  const options = [JSON.stringify(url)];
  if (locked) options.push(`headers={"authorization": f"Bearer {os.environ['${KEY}']}"}`);
  if (body !== undefined) options.push(`json=${literal(body, "    ")}`);
  options.push("timeout=60");
  return [
    ...(locked ? ["import os", ""] : []),
    "import httpx  # pip install httpx",
    "",
    `response = httpx.${method.toLowerCase()}(`,
    ...options.map((option) => `    ${option},`),
    ")",
    `print(response.raise_for_status().${isText ? "text" : "json()"})`,
  ].join("\n");
}

function typescript({ method, url, body, locked, isText }) {
  const headers = [
    ...(body === undefined ? [] : ['"content-type": "application/json"']),
    ...(locked ? [`authorization: \`Bearer \${process.env.${KEY}}\``] : []),
  ];
  const options = [
    ...(method === "GET" ? [] : [`method: "${method}"`]),
    ...(headers.length ? [`headers: { ${headers.join(", ")} }`] : []),
    ...(body === undefined ? [] : [`body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")})`]),
  ];
  const second = options.length ? `, {\n${options.map((option) => `  ${option},\n`).join("")}}` : "";
  return `const response = await fetch(${JSON.stringify(url)}${second});\nconsole.log(await response.${isText ? "text" : "json"}());`;
}

const quoted = (text) => (/^[\w:/.@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A value of JSON as Python writes it. A string of JSON is one of Python. */
function literal(value, indent) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const [open, close, rows] = Array.isArray(value)
    ? ["[", "]", value.map((one) => literal(one, inner))]
    : ["{", "}", Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one, inner)}`)];
  return rows.length ? `${open}\n${rows.map((row) => `${inner}${row},\n`).join("")}${indent}${close}` : open + close;
}
