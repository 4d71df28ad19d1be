// The state of the service, updated every two seconds.

import { figures, replicas } from "../math/figures.js";
import { parse } from "../math/exposition.js";
import { byId, el } from "../parts/dom.js";
import { Foot } from "../parts/foot.js";
import { health, metrics } from "../parts/service.js";
import { draw } from "../parts/sparkline.js";
import { Status } from "../parts/status.js";

const EVERY_MS = 2000;
const KEPT = 45;
// Percentiles of a few requests fluctuate, so these cover the last half minute.
const WINDOW = 15;
const LABELS = { healthy: "Healthy", noted: "Ready", degraded: "Degraded", starting: "Starting", lost: "Not reachable" };

/** @param {(health: object) => void} told gets every answer of `/health` */
export function setUp(told) {
  const status = new Status(byId("live-status"));
  new Foot(byId("live"), () => ({ paths: ["health", "metrics"] }));
  const button = byId("live-pause");
  const readings = [];
  const history = [];
  let paused = false;
  let trouble = "";

  async function look() {
    try {
      const state = await health();
      // Without a key, if keys are required, only the status is reported.
      pill(isBuiltIn(state) ? "noted" : state.status, state.reasons ?? []);
      if (state.details) {
        models(state.details);
        told(state);
      }
      read(parse(await metrics()));
      if (trouble) status.say("");
      trouble = "";
    } catch (error) {
      if (error.status === undefined) throw error;
      if (error.status === 0) lose();
      if (trouble !== error.message) status.say(error.message, "error");
      trouble = error.message;
    }
  }

  /** What was measured before no longer holds. */
  function lose() {
    pill("lost", ["No answer came from the service. It may be stopped, starting again, or out of this network's reach."]);
    readings.length = history.length = 0;
    history.push({ requests: null, p50: null, p95: null, p99: null, hitRate: null, batch: null });
    show();
    history.length = 0;
    models([]);
    scaled([]);
  }

  function read(samples) {
    readings.push({ at: performance.now() / 1000, samples });
    if (readings.length > WINDOW) readings.shift();
    scaled(replicas(samples));
    if (readings.length < 2) return;
    const now = figures(readings.at(-2), readings.at(-1));
    history.push({ ...figures(readings[0], readings.at(-1)), requests: now.requests });
    if (history.length > KEPT) history.shift();
    show();
  }

  function show() {
    const last = history.at(-1);
    const series = (name) => history.map((entry) => entry[name]);
    byId("live-requests").textContent = short(last.requests);
    for (const name of ["p50", "p95", "p99"]) byId(`live-${name}`).textContent = short(last[name]);
    byId("live-hits").textContent = last.hitRate === null ? "–" : `${Math.round(last.hitRate * 100)}%`;
    byId("live-batch").textContent = last.batch === null ? "–" : last.batch.toFixed(1);
    draw(byId("chart-requests"), [series("requests")], KEPT, 1);
    draw(byId("chart-times"), [series("p99"), series("p95"), series("p50")], KEPT, 1);
    draw(byId("chart-hits"), [series("hitRate")], KEPT, 1);
    draw(byId("chart-batch"), [series("batch")], KEPT, 4);
  }

  async function loop() {
    if (!paused && !document.hidden) await look();
    setTimeout(loop, EVERY_MS);
  }

  byId("health").addEventListener("click", () => toggle(byId("live-reasons").hidden));
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
  });
  loop();
}

function short(value) {
  if (value === null) return "–";
  return value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

/** The built-in image model in place of one that nobody asked for is no alarm. */
function isBuiltIn({ status, details = [], cache }) {
  const noted = details.filter(({ note }) => note);
  const whole = cache?.available && details.every((model) => model.status === "ready");
  return status === "degraded" && noted.length > 0 && whole && noted.every(({ note }) => note.includes("shapes-clip"));
}

/** The state is a button while there is a reason to show. */
function pill(state, reasons) {
  const button = byId("health");
  const box = byId("live-reasons");
  button.dataset.state = state;
  byId("health-label").textContent = LABELS[state];
  byId("health-note").textContent = state === "noted" ? "Images by the built-in model." : "";
  button.disabled = reasons.length === 0;
  if (button.disabled) toggle(false);
  const shown = [...box.children].map(({ textContent }) => textContent);
  if (JSON.stringify(shown) !== JSON.stringify(reasons)) box.replaceChildren(...reasons.map((reason) => el("li", {}, reason)));
}

function toggle(open) {
  byId("health").setAttribute("aria-expanded", String(open));
  byId("live-reasons").hidden = !open;
}

function models(details) {
  byId("live-models").replaceChildren(
    ...details.map(({ id, kind, status, dimensions, note }) => {
      const size = note ? `${dimensions} dimensions, ${note.includes("shapes-clip") ? "built-in" : "by a backup"}` : `${dimensions} dimensions`;
      const about = `${kind}, ${status === "ready" ? size : status}`;
      const dot = el("span", { className: "dot", "aria-hidden": "true" });
      dot.dataset.state = note ? "stand-in" : status;
      return el("li", {}, dot, el("span", { className: "name", title: id }, id.split("/").at(-1)), el("span", { className: "about" }, about));
    }),
  );
}

function scaled(counts) {
  byId("live-replicas").replaceChildren(
    ...counts.map(([name, count]) => {
      const boxes = Array.from({ length: Math.min(count, 12) }, () => el("span", { className: "replica" }));
      const row = el("span", { className: "replicas", "aria-hidden": "true" }, ...boxes);
      return el("li", {}, el("span", { className: "name", title: name }, name), row, el("span", { className: "count" }, String(count)));
    }),
  );
}
