// Writes a matrix as NumPy's own file, which `numpy.load` reads.

const ALIGNED = 64;

/** @param {Float32Array[]} rows of equal length @returns {Uint8Array} */
export function npy(rows) {
  const size = rows[0]?.length ?? 0;
  const about = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows.length}, ${size}), }`;
  const length = Math.ceil((10 + about.length + 1) / ALIGNED) * ALIGNED;
  const file = new Uint8Array(length + 4 * rows.length * size);
  file.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, (length - 10) & 255, (length - 10) >> 8]);
  file.set(new TextEncoder().encode(about.padEnd(length - 11) + "\n"), 10);
  const view = new DataView(file.buffer, length);
  rows.forEach((row, i) => row.forEach((value, j) => view.setFloat32(4 * (i * size + j), value, true)));
  return file;
}
