// Splits a text into passages: its lines, and long lines at the ends of sentences.

// Roughly 256 tokens, the maximum length of the default model.
const MOST = 1000;

/** @param {string} text @returns {string[]} no empty one, none longer than `most` characters */
export function passages(text, most = MOST) {
  return lines(text).flatMap((line) => (line.length > most ? cut(line, most) : [line]));
}

/** @param {string} text @returns {string[]} trimmed, without empty ones */
export function lines(text) {
  return text.split(/\r\n?|\n/).map((line) => line.trim()).filter(Boolean);
}

function cut(line, most) {
  const parts = [];
  let rest = line;
  while (rest.length > most) {
    const end = lastEnd(rest, most);
    parts.push(rest.slice(0, end).trim());
    rest = rest.slice(end).trim();
  }
  return rest ? [...parts, rest] : parts;
}

/** Where to cut: after the last sentence that fits, else the last word, else between two characters. */
function lastEnd(text, most) {
  const window = text.slice(0, most + 1);
  const sentence = Math.max(...[...window.matchAll(/[.!?…。！？]["'”’)]*(?=\s)/g)].map((found) => found.index + found[0].length), 0);
  if (sentence > most / 3) return sentence;
  const word = window.search(/\s\S*$/);
  if (word > 0) return word;
  // Never between the two code units of a surrogate pair.
  return /[\uD800-\uDBFF]/.test(text[most - 1]) ? most - 1 : most;
}
