// All items that were embedded on the page, for the map.

/**
 * @typedef {{kind: "sentence" | "passage" | "image" | "query", text: string, vector: Float32Array, picture?: string}} Item
 */
export class Items extends EventTarget {
  #lots = new Map();

  /** Replaces a panel's items. Vectors of different spaces can't be compared. */
  replace(owner, space, model, items) {
    this.#lots.set(owner, { space, model, items });
    this.dispatchEvent(new Event("change"));
  }

  /** Adds to a panel's items; equal texts count once. */
  add(owner, space, model, items) {
    const old = this.#lots.get(owner);
    const kept = old?.space === space ? old.items.filter(({ text }) => items.every((item) => item.text !== text)) : [];
    this.replace(owner, space, model, [...kept, ...items]);
  }

  /** `[{space, model, items}]`, one entry per space in order of appearance; equal texts of a space appear once. */
  bySpace() {
    const spaces = new Map();
    for (const { space, model, items } of this.#lots.values()) {
      if (!spaces.has(space)) spaces.set(space, { space, model, items: [], seen: new Set() });
      const entry = spaces.get(space);
      for (const item of items) {
        const name = item.picture ?? item.text;
        if (!entry.seen.has(name)) entry.items.push(item);
        entry.seen.add(name);
      }
    }
    return [...spaces.values()].filter(({ items }) => items.length > 0);
  }
}
