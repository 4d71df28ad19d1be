// Has the map computed by a worker; answers to older questions are dropped.

const FILE = new URL("../math/mapping.js", import.meta.url);

export class Mapper {
  #asked = 0;

  /** @param {(map: object, about: object) => void} found */
  constructor(found) {
    this.worker = new Worker(trusted(FILE), { type: "module" });
    this.worker.addEventListener("message", ({ data }) => data.id === this.#asked && found(data, this.about));
  }

  /** @param {Float32Array[]} vectors of length 1 @param {object} about comes back with the map */
  draw(vectors, about) {
    const size = vectors[0].length;
    const flat = new Float32Array(vectors.length * size);
    vectors.forEach((vector, i) => flat.set(vector, i * size));
    this.about = about;
    this.worker.postMessage({ id: ++this.#asked, vectors: flat, size }, [flat.buffer]);
  }

  /** The same map in another number of groups; null: as many as the silhouette suggests. */
  group(count, about) {
    this.about = about;
    this.worker.postMessage({ id: ++this.#asked, count });
  }

  stop() {
    this.#asked++;
  }
}

/** Where the page's policy asks for it: a worker's address counts as script, and this is one of our own files. */
function trusted(url) {
  const policy = globalThis.trustedTypes?.createPolicy("map", { createScriptURL: (own) => own });
  return policy?.createScriptURL(url.href) ?? url;
}
