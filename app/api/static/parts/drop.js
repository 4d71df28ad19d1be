// Takes files that are dropped on a panel, pasted into it, or chosen with a button.

/**
 * @param {HTMLElement} zone takes drops and shows that it does
 * @param {HTMLInputElement} input the file chooser, for those without a mouse
 * @param {(files: File[]) => void} take
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
    take([...event.dataTransfer.files]);
  });
  zone.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    take(files);
  });
  input.addEventListener("change", () => {
    take([...input.files]);
    // So that choosing the same file again fires a change event.
    input.value = "";
  });
}
