// The page without a server: a device, the plane of all cells on it, and a search by the controller, step by step.

import planeModule from "plane";
import slidersModule from "sliders";
import { milliseconds, positive } from "cells";
import { graph } from "graph";
import { Model } from "model";
import { History } from "readings";
import { about, loadCells, loadController, loadDevices } from "tables";
import { bestWithin, bounds, descending, largest, normalisedRegret, padded, paretoFront, rewards, shades } from "values";

const OWN = "own", SLIDERS = "sliders"; // devices without a stored table
const LEAST = 1e-3; // ms
const TYPING = 500, PAUSE = 250; // ms after a key before the text is read; between two measurements of a stored device
const element = (id) => document.getElementById(id);
const short = (value) => String(Number(value.toPrecision(4)));

const { cells, datasets } = await loadCells();
const state = {
  device: SLIDERS, dataset: Object.keys(about.datasets)[0], score: Object.keys(about.scores)[0], up: "score",
  weight: 1, limit: null, steps: [],
};
const orders = new Map(); // cells by falling height, for each column of heights
let stored = {}, controller = null, prepared = 0; // what is loaded, and the share of the controller that is ready
let outcome = null, shown = null; // the controller's last step; latencies and rewards of all cells in the plane
let planned = 0, cleared = false; // a timer; whether measurements were removed because the device changed

// devices

const { mean, sd, marks } = about.sliders;
const maxima = mean.map((value, k) => Math.max(value + 3.5 * sd[k], 1.05 * Math.max(...marks[k])));
const sliders = new Model({ names: about.labels, mean, sd, marks, values: mean, maxima }, typed);

/** Latency of all cells on the made device: the sum over its operations. */
function additive() {
  const values = sliders.get("values").map((value) => Math.max(value, LEAST));
  const edges = about.edges.length, ms = new Float32Array(cells.order.length);
  for (let at = 0; at < cells.digits.length; at++) ms[Math.floor(at / edges)] += values[cells.digits[at]];
  return ms;
}

/** Latencies of all cells: known ones, or for the user's own device what is predicted; null before anything is. */
function latencies() {
  if (state.device === SLIDERS) return additive();
  if (state.device !== OWN) return stored[state.device] ?? null;
  if (!controller) return null;
  const ms = Float32Array.from(outcome?.prediction?.ms ?? controller.network.priorShape);
  for (const [arch, measured] of new History(state.steps, about.sizes).cells) ms[arch] = measured;
  return ms;
}

const known = () => state.device !== OWN;
/** Whether latencies are in ms. Before the first prediction they are relative. */
const inMs = () => known() || Boolean(outcome?.prediction);
/** What the legend and the card call the cell with the highest reward. */
const best = () => (known() ? "best cell h*" : inMs() ? "best predicted cell" : "best cell of a typical device");

// the plane

const plane = new Model({
  x: new Float32Array(0), y: new Float32Array(0), shade: new Uint8Array(0), x_range: [0, 1], y_range: [0, 1],
  reward_range: [0, 2], x_label: "", y_label: "", description: "", height: 370, front: [], trail: [], optimum: 0,
  recommended: -1, limit: null, limit_side: "right", limit_best: -1, hovered: -1, selected: -1,
});

/** The chosen score of all cells, and what texts call it. */
const scores = () => datasets[state.dataset].scores[state.score];
const label = () => `score ${about.scores[state.score].label}`;
const heights = () => (state.up === "score" ? scores() : datasets[state.dataset].accuracy);

function draw() {
  const ms = latencies();
  if (!ms) return;
  const y = heights(), y_label = state.up === "score" ? label() : `${about.datasets[state.dataset]} accuracy (%)`;
  if (!orders.has(y)) orders.set(y, descending(y));
  const { prediction } = outcome ?? {};
  const range = !known() && prediction ? [prediction.fastest, prediction.fastest + prediction.range] : bounds(ms);
  shown = { ms, reward: rewards(scores(), ms, state.weight, range) };
  const optimum = largest(shown.reward), limit = inMs() ? state.limit : null;
  plane.assign({
    x: ms, y, x_range: padded(bounds(ms)), y_range: padded(bounds(y)), ...shades(shown.reward),
    front: paretoFront(ms, y, orders.get(y)), optimum,
    x_label: known() ? "latency (ms)" : prediction ? "latency (ms), predicted" : "latency of a typical device, relative",
    y_label, best_label: best(), limit, limit_best: limit === null ? -1 : bestWithin(y, ms, limit),
    description: `All ${ms.length} cells: ${y_label} against latency. The ${best()} is ${optimum}. `
      + "Arrow keys move from cell to cell, Home to the best.",
  });
  describe();
}

/** The card: the cell under the pointer, else the selected, the recommended, or the best one. */
function describe() {
  const [hovered, selected, recommended] = ["hovered", "selected", "recommended"].map((name) => plane.get(name));
  const [arch, what] = hovered >= 0 ? [hovered, "Cell under the pointer"]
    : selected >= 0 ? [selected, "Selected cell"]
    : recommended >= 0 ? [recommended, "Recommended cell"]
    : [plane.get("optimum"), capitalised(best())];
  const score = scores()[arch].toFixed(3), accuracy = datasets[state.dataset].accuracy[arch].toFixed(2);
  const ms = shown.ms[arch];
  const text = document.createElement("div");
  const latency = Number.isNaN(ms) ? "latency not measured" : ms === Infinity ? "fails"
    : inMs() ? `${short(ms)} ms` : `relative latency ${short(ms)}`;
  text.append(
    bold(`${what}: ${arch}`), document.createElement("br"),
    `${latency} · ${label()} ${score} · accuracy ${accuracy} %`, code(cells.string(arch)),
  );
  element("card").replaceChildren(graph(cells.ops(arch), about.labels, cells.string(arch)), text);
}

const capitalised = (text) => text[0].toUpperCase() + text.slice(1);
const bold = (text) => Object.assign(document.createElement("b"), { textContent: text });
const code = (text) => Object.assign(document.createElement("code"), { textContent: text });

// the search

/** The controller's step after what was measured. */
function search() {
  const history = new History(state.steps, about.sizes);
  const measurable = known() && stored[state.device]?.some(Number.isNaN)
    ? stored[state.device].map((ms) => Number(!Number.isNaN(ms))) : null;
  const problem = { score: scores(), weight: state.weight, limit: state.limit, measurable };
  performance.mark("step");
  outcome = controller && controller.step(problem, history, about.budget - history.length);
  performance.measure("step", "step");
  plane.assign({
    trail: history.cells.filter(([, ms]) => ms < Infinity).map(([arch]) => arch),
    recommended: outcome?.recommendation?.arch ?? -1,
  });
  draw();
  tell(history);
}

/** Say which cell is next, and which is recommended. */
function tell(history) {
  const next = outcome?.next, n = history.length;
  const focused = ["measure", "automatic"].some((id) => element(id).contains(document.activeElement));
  element("measure").hidden = known() || !next;
  element("automatic").hidden = !known() || !next;
  if (focused && !next) element("clear").focus(); // what had the focus is hidden
  allow(Boolean(next));
  if (!controller) return element("next").replaceChildren(share());
  if (next) {
    const expected = next.ms === null ? "" : `, ${short(next.ms)} ms expected`;
    const count = ` (${n + 1} of ${about.budget}${expected})`;
    element("next").replaceChildren(bold(`Next: measure cell ${next.arch}`), count, code(cells.string(next.arch)));
  } else {
    const why = n >= about.budget ? `${n} cells are measured` : "no other cell is expected to be better";
    element("next").replaceChildren(bold("The search has ended: "), `${why}.`);
  }
  element("found").replaceChildren(...recommendation(history));
}

function recommendation(history) {
  const found = outcome.recommendation;
  if (!history.length) return [`${cleared ? "The device changed, so the measurements were removed. " : ""}`
    + "Nothing is recommended before the first measurement."];
  if (!found) return ["Nothing is recommended: no measured cell works and keeps the limit."];
  const ms = new Map(history.cells).get(found.arch), score = scores();
  const parts = [bold(`Recommended: cell ${found.arch}`), `, ${short(ms)} ms`, code(cells.string(found.arch))];
  const limited = state.limit !== null, what = limited ? `loss of ${label()}` : "regret";
  parts.push(`Expected ${what}: ${found.regret.toFixed(3)}.`);
  if (known()) {
    const lost = limited ? score[bestWithin(score, shown.ms, state.limit)] - score[found.arch]
      : normalisedRegret(shown.reward, found.arch);
    parts.push(` True ${what}: ${lost.toFixed(3)}.`);
  }
  const wrong = [...history.implausible(controller.network.priorShape)];
  if (wrong.length) parts.push(` Not used, because no known device is like this: cell ${wrong.join(", ")}. Measure it again.`);
  return parts;
}

const share = () => `The controller is being prepared: ${Math.round(100 * prepared)} %.`;

// what the user does

/** Run an action; an error is shown in one sentence. */
function attempt(action) {
  const box = element("error");
  box.hidden = true;
  try {
    action();
  } catch (error) {
    box.textContent = error.message;
    box.hidden = false;
  }
}

function typed({ operation, text }) {
  attempt(() => {
    const value = positive(text, "A latency");
    sliders.set("values", sliders.get("values").map((old, k) => (k === operation ? value : old)));
  });
  sliders.emit("msg:custom"); // the field shows the value in use, whatever was typed
}

/** Another device: what was measured on the one before does not count. */
function changed() {
  cleared = state.steps.length > 0;
  element("readings").value = "";
  state.steps = [];
  outcome = null;
  allow(false);
  plane.assign({ trail: [], recommended: -1, selected: -1 });
  draw();
  later(search, 60);
}

/** Whether a cell can be measured: not before the controller has chosen it. */
function allow(measuring) {
  for (const button of document.querySelectorAll("#measure button, #automatic button")) button.disabled = !measuring;
}

/** Do one thing after some ms, and nothing that was planned before. */
function later(action, ms) {
  clearTimeout(planned);
  planned = setTimeout(action, ms);
}

function read() {
  attempt(() => {
    state.steps = cells.readings(element("readings").value);
    search();
  });
}

function add(arch, ms) {
  const box = element("readings"), before = box.value.trimEnd();
  box.value = `${before}${before && "\n"}${arch}, ${ms === Infinity ? "failed" : short(ms)}`;
  box.scrollTop = box.scrollHeight;
  read();
}

function listen() {
  element("device").onchange = () => attempt(() => {
    state.device = element("device").value;
    element("sliders").hidden = state.device !== SLIDERS;
    changed();
  });
  element("dataset").onchange = () => {
    state.dataset = element("dataset").value;
    search();
  };
  element("score").onchange = () => {
    state.score = element("score").value;
    explain();
    search();
  };
  element("up").onchange = () => {
    state.up = element("up").value;
    draw();
  };
  element("weight").onchange = () => attempt(() => {
    state.weight = positive(element("weight").value, "The weight of latency");
    search();
  });
  element("limit").onchange = () => attempt(() => {
    const text = element("limit").value.trim();
    state.limit = text ? positive(text, "The latency limit") : null;
    search();
  });
  element("measure").onsubmit = (event) => {
    event.preventDefault();
    attempt(() => {
      const ms = milliseconds(element("latency").value);
      element("latency").value = "";
      add(outcome.next.arch, ms);
    });
    element("latency").focus();
  };
  element("one").onclick = measureOne;
  element("all").onclick = measureAll;
  element("readings").oninput = () => later(read, TYPING);
  element("clear").onclick = () => attempt(() => {
    changed();
    cleared = false;
  });
  sliders.on("change:values", changed);
  plane.on("change:hovered change:selected", () => shown && describe());
  plane.on("change:limit", () => {
    if (plane.get("limit") === null || plane.get("limit") === state.limit) return; // not dragged
    state.limit = Math.max(plane.get("limit"), 1e-3);
    element("limit").value = short(state.limit);
    plane.set("limit_best", bestWithin(heights(), shown.ms, state.limit));
    later(search, 60);
  });
}

function measureOne() {
  add(outcome.next.arch, shown.ms[outcome.next.arch]);
}

function measureAll() {
  if (!outcome?.next) return;
  measureOne();
  if (element("error").hidden) later(measureAll, PAUSE); // otherwise a line above cannot be read
}

/** Say which score is chosen. */
function explain() {
  for (const node of document.querySelectorAll(".page-score")) node.textContent = label();
  element("reward").title = `Reward = ${label()} + weight · inverse latency`;
  element("meaning").textContent = about.scores[state.score].description;
}

const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });

function group(label, ...options) {
  const node = Object.assign(document.createElement("optgroup"), { label });
  node.append(...options);
  return node;
}

// the first picture, then the rest

element("device").append(
  option(OWN, "your own device"),
  option(SLIDERS, "device from five sliders"),
  group("stored tables", ...about.devices.map((name) => option(name, name))),
);
element("device").value = state.device;
element("dataset").append(...Object.entries(about.datasets).map(([name, text]) => option(name, text)));
element("score").append(...Object.entries(about.scores).map(([name, { label: text }]) => option(name, text)));
explain();
if (location.protocol !== "file:") element("results").href = "../results.html"; // the page is a part of the site
draw();
planeModule.render({ model: plane, el: element("plane") });
slidersModule.render({ model: sliders, el: element("sliders") });
requestAnimationFrame(() => performance.mark("first picture")); // for tests
listen();
tell(new History([], about.sizes));

/** The controller, when it is ready. */
export const ready = (async () => {
  await new Promise((resolve) => setTimeout(resolve, 50)); // the first picture comes first
  stored = await loadDevices(cells.order);
  controller = await loadController(cells.order, (done) => {
    prepared = done;
    element("next").replaceChildren(share());
  });
  search();
  return controller;
})();
export { about, cells, datasets };
