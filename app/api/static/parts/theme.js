// Light or dark theme: the system's, until the button is used.

import { byId } from "./dom.js";

const STORE = "embedding-service-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export function setUp() {
  const button = byId("theme");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(STORE, theme);
    show();
  });
  system.addEventListener("change", show);
  show();
}
