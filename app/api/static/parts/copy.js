// A button that copies a text.

import { el } from "./dom.js";

const SHOWN_MS = 2000;

/**
 * @param {string} label @param {() => string | Promise<string>} text
 * @param {(error: Error) => void} failed told what kept the text from being made
 */
export function copyButton(label, text, failed = () => {}) {
  const button = el("button", { type: "button", className: "quiet" }, label);
  let timer = 0;
  const say = (words) => {
    button.textContent = words;
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = label), SHOWN_MS);
  };
  button.addEventListener("click", async () => {
    try {
      say((await copy(await text())) ? "Copied" : "Select it to copy");
    } catch (error) {
      failed(error);
    }
  });
  return button;
}

/** Browsers give a page that came by plain HTTP from elsewhere no clipboard; the older way still works there. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = el("textarea", { value: text, className: "off-screen", "aria-hidden": "true" });
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
