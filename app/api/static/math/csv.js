// Tables in text: reads CSV, TSV and JSON Lines, and writes CSV.

const DELIMITERS = [",", ";", "\t"];
const MOST_NAME = 60;

/**
 * The table of a file, if it is one: two columns or more, and the same in each row.
 * @param {string} text @param {string} name of the file, whose suffix says what it holds
 * @returns {{header: string[], rows: string[][]} | null}
 */
export function table(text, name) {
  if (/\.(jsonl|ndjson)$/i.test(name)) return ofObjects(text);
  if (!/\.(csv|tsv)$/i.test(name)) return null;
  const plain = text.replace(/^\uFEFF/, "");
  const [rows] = DELIMITERS.map((delimiter) => cells(plain, delimiter)).sort((a, b) => b[0]?.length - a[0]?.length);
  const width = rows[0]?.length ?? 0;
  if (width < 2) return null;
  const named = rows[0].every((cell) => cell.trim() && cell.length <= MOST_NAME && Number.isNaN(Number(cell)));
  const header = named ? rows.shift() : rows[0].map((_, i) => `Column ${i + 1}`);
  return { header, rows: rows.map((row) => header.map((_, i) => row[i] ?? "")) };
}

/** The column whose cells are longest: most likely the text. */
export function longest({ header, rows }) {
  const size = (column) => rows.reduce((sum, row) => sum + row[column].length, 0);
  return header.reduce((best, _, column) => (size(column) > size(best) ? column : best), 0);
}

/** CSV with a header; what a spreadsheet would read otherwise is quoted. @param {(string | number)[][]} rows */
export function written(rows) {
  const cell = (value) => (/[",\r\n]|^\s|\s$/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** Rows of cells, as RFC 4180 has it: quoted cells may hold delimiters, line ends and doubled quotes. */
function cells(text, delimiter) {
  const rows = [];
  let row = [];
  for (let at = 0; at < text.length; ) {
    let cell = "";
    if (text[at] === '"') {
      for (at++; at < text.length; at++) {
        if (text[at] !== '"') cell += text[at];
        else if (text[at + 1] === '"') cell += text[at++];
        else break;
      }
      at++;
    }
    const from = at;
    while (at < text.length && text[at] !== delimiter && text[at] !== "\n" && text[at] !== "\r") at++;
    row.push(cell + text.slice(from, at));
    if (text[at] === delimiter) {
      if (++at < text.length) continue;
      row.push("");
    } else if (text[at] === "\r" && text[at + 1] === "\n") at += 2;
    else at++;
    if (row.length > 1 || row[0].trim()) rows.push(row);
    row = [];
  }
  return rows;
}

function ofObjects(text) {
  const objects = [];
  for (const line of text.split("\n").filter((line) => line.trim())) {
    try {
      objects.push(JSON.parse(line));
    } catch {
      return null;
    }
  }
  if (!objects.every((it) => it && typeof it === "object" && !Array.isArray(it))) return null;
  const header = [...new Set(objects.flatMap(Object.keys))];
  const shown = (value) => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value));
  return header.length < 1 ? null : { header, rows: objects.map((it) => header.map((name) => shown(it[name]))) };
}
