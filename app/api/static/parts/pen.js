// Draws the map's points, pictures and labels on a canvas.

const GROUPS = 8;
const PICTURE = 17;

/** The page's colours as a canvas takes them: it knows no variables. @param {HTMLElement} node */
export function colours(node) {
  const read = (name) => {
    node.style.color = `var(--${name})`;
    return getComputedStyle(node).color;
  };
  const groups = Array.from({ length: GROUPS }, (_, i) => read(`group-${i + 1}`));
  const found = { groups, ink: read("ink"), ground: read("sunken"), soft: read("soft") };
  node.style.color = "";
  return found;
}

export class Pen {
  #pictures = new Map();
  #widths = new Map();

  /** @param {HTMLCanvasElement} canvas @param {() => void} redraw once a picture is there */
  constructor(canvas, redraw) {
    this.canvas = canvas;
    this.redraw = redraw;
    this.context = canvas.getContext("2d");
  }

  size(width, height) {
    this.ratio = window.devicePixelRatio || 1;
    [this.canvas.width, this.canvas.height] = [Math.round(width * this.ratio), Math.round(height * this.ratio)];
    this.canvas.style.height = `${height}px`;
  }

  begin(colours, radius) {
    [this.colours, this.radius] = [colours, radius];
    const pen = this.context;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.globalAlpha = 1;
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.font = `500 12.5px ${getComputedStyle(this.canvas).fontFamily}`;
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
  }

  point({ kind, group, picture }, [x, y], faint) {
    const pen = this.context;
    const colour = this.colours.groups[group];
    if (x < -40 || y < -40 || x > this.canvas.width / this.ratio + 40 || y > this.canvas.height / this.ratio + 40) return;
    pen.globalAlpha = faint ? 0.3 : 1;
    pen.fillStyle = colour;
    pen.strokeStyle = this.colours.ground;
    pen.lineWidth = this.radius < 5 ? 0.75 : 1.5;
    pen.beginPath();
    if (picture) return this.#picture(picture, x, y, colour);
    if (kind === "query") {
      pen.moveTo(x, y - 9);
      for (const [u, v] of [[9, 0], [0, 9], [-9, 0]]) pen.lineTo(x + u, y + v);
      pen.closePath();
    } else pen.arc(x, y, this.radius, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
    return undefined;
  }

  line([x, y], [u, v]) {
    const pen = this.context;
    pen.strokeStyle = this.colours.soft;
    pen.globalAlpha = 0.6;
    pen.lineWidth = 1.25;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(u, v);
    pen.stroke();
  }

  ring([x, y], { picture }) {
    const pen = this.context;
    pen.globalAlpha = 1;
    pen.strokeStyle = this.colours.ink;
    pen.lineWidth = 2.5;
    pen.beginPath();
    if (picture) pen.roundRect(x - PICTURE - 3, y - PICTURE - 3, 2 * PICTURE + 6, 2 * PICTURE + 6, 5);
    else pen.arc(x, y, 11, 0, 2 * Math.PI);
    pen.stroke();
  }

  width(text) {
    if (!this.#widths.has(text)) this.#widths.set(text, this.context.measureText(text).width);
    return this.#widths.get(text);
  }

  label(text, x, y) {
    const pen = this.context;
    pen.globalAlpha = 1;
    pen.strokeStyle = this.colours.ground;
    pen.lineWidth = 4;
    pen.strokeText(text, x, y);
    pen.fillStyle = this.colours.ink;
    pen.fillText(text, x, y);
  }

  #picture(url, x, y, colour) {
    const pen = this.context;
    let image = this.#pictures.get(url);
    if (!image) {
      this.#pictures.set(url, (image = new Image()));
      image.onload = this.redraw;
      image.src = url;
    }
    pen.roundRect(x - PICTURE, y - PICTURE, 2 * PICTURE, 2 * PICTURE, 3);
    pen.fill();
    if (image.naturalWidth) {
      // The middle of it, as a square.
      const side = Math.min(image.naturalWidth, image.naturalHeight);
      const [left, top] = [(image.naturalWidth - side) / 2, (image.naturalHeight - side) / 2];
      pen.drawImage(image, left, top, side, side, x - PICTURE + 2, y - PICTURE + 2, 2 * PICTURE - 4, 2 * PICTURE - 4);
    }
    pen.strokeStyle = colour;
    pen.lineWidth = 3;
    pen.stroke();
  }
}
