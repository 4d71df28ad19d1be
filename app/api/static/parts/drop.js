// Takes files that are dropped on a panel, pasted into it, or chosen with a button.

/**
 * @param {HTMLElement} zone takes drops and shows that it does
 * @param {HTMLInputElement} input the file chooser, for those without a mouse
 * @param {(files: File[], folders: string[]) => void} take folders can't be read as files; their names are told
 */
export function takeFiles(zone, input, take) {
  let depth = 0;
  const over = (on) => zone.classList.toggle("is-over", on);
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  zone.addEventListener("dragenter", (event) => {
    if (holdsFiles(event)) over(++depth > 0);
  });
  zone.addEventListener("dragleave", (event) => {
    if (holdsFiles(event)) over(--depth > 0);
  });
  zone.addEventListener("dragover", (event) => {
    if (holdsFiles(event)) event.preventDefault();
  });
  zone.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    const folders = entries.filter((entry) => entry?.isDirectory).map(({ name }) => name);
    take([...event.dataTransfer.files].filter(({ name }) => !folders.includes(name)), folders);
  });
  zone.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    take(files, []);
  });
  input.addEventListener("change", () => {
    take([...input.files], []);
    // So that choosing the same file again fires a change event.
    input.value = "";
  });
}
