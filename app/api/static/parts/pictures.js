// Images that people add, kept for this tab over a reload. The tab's own storage is too small for them, so they lie in
// the browser's database under the tab's name. A page in a new tab empties it, and the other open tabs fill it again:
// so what closed tabs have left there goes.

const NAME = "embedding-service-images";
const MOST_BYTES = 64 * 2 ** 20;
let pictures = [];

/** Those of this tab before it was reloaded, in order. @returns {Promise<File[]>} */
export async function restored() {
  const others = new BroadcastChannel(NAME);
  others.addEventListener("message", () => stored((tabs) => tabs.put(pictures, tab())));
  if (tab()) return (await stored((tabs) => tabs.get(tab()))) ?? [];
  sessionStorage.setItem(NAME, `${Date.now()} ${Math.random()}`);
  await stored((tabs) => tabs.clear());
  others.postMessage("emptied");
  return [];
}

/** Keeps the first of them, as many as are not too large together. @returns {Promise<number>} how many these are */
export async function keepPictures(all) {
  let left = MOST_BYTES;
  const end = all.findIndex(({ size }) => (left -= size) < 0);
  pictures = end < 0 ? all : all.slice(0, end);
  return (await stored((tabs) => tabs.put(pictures, tab()))) ? pictures.length : 0;
}

function tab() {
  return sessionStorage.getItem(NAME);
}

/** What the database answers, once it is written; undefined where there is no database, as in some private windows. */
export async function stored(ask) {
  try {
    const opening = indexedDB.open(NAME);
    opening.onupgradeneeded = () => opening.result.createObjectStore("tabs");
    await done(opening, "success");
    const writing = opening.result.transaction("tabs", "readwrite");
    const request = ask(writing.objectStore("tabs"));
    await done(writing, "complete");
    opening.result.close();
    return request.result;
  } catch {
    return undefined;
  }
}

function done(request, event) {
  return new Promise((resolve, reject) => {
    request.addEventListener(event, resolve);
    for (const failure of ["abort", "error"]) request.addEventListener(failure, () => reject(request.error));
  });
}
