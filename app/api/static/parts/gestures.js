// Mouse, pen and fingers on a canvas: drag to pan, pinch or Ctrl and wheel to zoom, a click or tap to choose.

const STILL = 5;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{pan(x: number, y: number): void, zoom(factor: number, x: number, y: number): void,
 *   choose(x: number, y: number, touch: boolean): void, point(x: number, y: number): void, leave(): void}} on
 */
export function listen(canvas, on) {
  const down = new Map();
  let moved = 0;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const spread = () => {
    const [[a, b], [c, d]] = [...down.values()];
    return { gap: Math.hypot(a - c, b - d), x: (a + c) / 2, y: (b + d) / 2 };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    if (down.size === 0) moved = 0;
    down.set(event.pointerId, at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    const from = down.get(event.pointerId);
    if (!from) return on.point(x, y);
    moved += Math.hypot(x - from[0], y - from[1]);
    const before = down.size === 2 ? spread() : null;
    down.set(event.pointerId, [x, y]);
    if (before) {
      const now = spread();
      on.zoom(now.gap / (before.gap || 1), now.x, now.y);
      on.pan(now.x - before.x, now.y - before.y);
    } else if (moved > STILL) on.pan(x - from[0], y - from[1]);
    return undefined;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (down.delete(event.pointerId) && moved <= STILL && down.size === 0) on.choose(...at(event), event.pointerType === "touch");
  });
  canvas.addEventListener("pointercancel", (event) => down.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => on.leave());
  canvas.addEventListener(
    "wheel",
    (event) => {
      // Without Ctrl the page scrolls; a pinch on a touchpad comes with it.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      on.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.004)), ...at(event));
    },
    { passive: false },
  );
}
