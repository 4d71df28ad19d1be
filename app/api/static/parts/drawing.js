// Draws sample images: a coloured shape on a background.

const SIDE = 160;
const RADIUS = 0.3 * SIDE;
const BACKGROUNDS = { white: "#fff", grey: "#808080", black: "#000" };

// Corners in a circle of radius one, y downwards.
const CORNERS = {
  square: [[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]],
  triangle: [[0, -1], [0.95, 0.75], [-0.95, 0.75]],
  diamond: [[0, -1], [0.7, 0], [0, 1], [-0.7, 0]],
  cross: [
    [0.29, -1], [0.29, -0.29], [1, -0.29], [1, 0.29], [0.29, 0.29], [0.29, 1],
    [-0.29, 1], [-0.29, 0.29], [-1, 0.29], [-1, -0.29], [-0.29, -0.29], [-0.29, -1],
  ],
  star: Array.from({ length: 10 }, (_, i) => {
    const [length, turn] = [i % 2 === 0 ? 1 : 0.43, (Math.PI * i) / 5];
    return [length * Math.sin(turn), -length * Math.cos(turn)];
  }),
  heart: Array.from({ length: 40 }, (_, i) => {
    const t = (2 * Math.PI * i) / 40;
    const height = 13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t);
    return [Math.sin(t) ** 3, -height / 16 - 0.1];
  }),
};

/** A PNG file named after what it shows. @returns {Promise<File>} */
export async function drawn(shape, colour, background) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const pen = canvas.getContext("2d");
  pen.fillStyle = BACKGROUNDS[background];
  pen.fillRect(0, 0, SIDE, SIDE);
  pen.translate(SIDE / 2, SIDE / 2);
  pen.scale(RADIUS, RADIUS);
  pen.fillStyle = colour;
  pen.beginPath();
  if (shape === "circle" || shape === "ring") {
    pen.arc(0, 0, 1, 0, 2 * Math.PI);
    if (shape === "ring") pen.arc(0, 0, 0.575, 0, 2 * Math.PI, true);
  } else {
    for (const [x, y] of CORNERS[shape]) pen.lineTo(x, y);
    pen.closePath();
  }
  pen.fill();
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  return new File([blob], `${colour} ${shape} on ${background}.png`, { type: "image/png" });
}
