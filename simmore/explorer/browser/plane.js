// The plane of all cells: a cloud coloured by reward, and over it the Pareto front, the optimum, a search and a limit.
//
// The cloud is written pixel by pixel into an ImageData (about a millisecond for 15,625 cells). The rest is drawn with
// the lines and text of the canvas. The kernel computes; this file shows, and reports where the pointer is.

const MARGIN = { left: 58, right: 14, top: 10, bottom: 42 };
const FONT = "12px system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const INK = "#1a1a1a", ORANGE = "#E69F00", RED = "#D55E00", BLUE = "#0072B2";
// matplotlib's viridis at nine places: even steps of lightness, readable without colour vision
const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const REACH = 14; // pixels from the pointer within which a cell is found

const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));

/** 256 colours as little-endian RGBA words, for writing whole pixels at once. */
function palette() {
  const stops = VIRIDIS.map(rgb);
  return Uint32Array.from({ length: 256 }, (_, k) => {
    const at = (k / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    const [r, g, b] = stops[low].map((c, i) => Math.round(c + (stops[low + 1][i] - c) * (at - low)));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

/** Round numbers between low and high, about n of them. */
function ticks(low, high, n) {
  const rough = (high - low) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, k) => [(first + k) * step, ((first + k) * step).toFixed(digits)]);
}

/**
 * Places of marks, so that none covers another: each takes the free place nearest to its own, the first ones first.
 *
 * A mark has a radius `r` and either its place `x`, `y` or the mark `by` whose side it keeps. Sets `at: [x, y]`.
 */
export function spread(marks, [x0, y0, x1, y1] = [-Infinity, -Infinity, Infinity, Infinity]) {
  const placed = [];
  for (const mark of marks) {
    const { r } = mark, [x, y] = mark.by?.at ?? [mark.x, mark.y];
    const free = ([px, py]) =>
      px >= x0 + r && px <= x1 - r && py >= y0 + r && py <= y1 - r &&
      placed.every((other) => Math.hypot(px - other.at[0], py - other.at[1]) >= r + other.r);
    mark.at = [x, y];
    for (let away = r; !free(mark.at) && away < 20 * r; away += r / 2) {
      const around = Array.from({ length: 16 }, (_, k) => ((k * 5) % 16) * (Math.PI / 8));
      const found = around.map((a) => [x + away * Math.sin(a), y - away * Math.cos(a)]).find(free);
      if (found) mark.at = found;
    }
    placed.push(mark);
  }
  return marks;
}

/** A word; a button that opens its meaning where the page has one. */
function word(text, key) {
  const id = `simmore-term-${key}`;
  if (!document.getElementById(id)) return Object.assign(document.createElement("span"), { textContent: text });
  const node = Object.assign(document.createElement("button"), { type: "button", className: "simmore-term", textContent: text });
  node.setAttribute("popovertarget", id);
  return node;
}

/** The corners of a staircase through points: level to the next point's x, then up or down to it. */
export const staircase = (points) => points.flatMap(([x, y], k) => (k ? [[x, points[k - 1][1]], [x, y]] : [[x, y]]));

const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

class Plane {
  constructor(model, el) {
    this.model = model;
    this.colours = palette();
    this.el = Object.assign(document.createElement("div"), { className: "simmore-plane" });
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.legend = Object.assign(document.createElement("div"), { className: "simmore-legend" });
    this.el.append(this.canvas, this.legend);
    el.append(this.el);
    this.zoom = null; // [[x0, x1], [y0, y1]], or null: everything
    this.drag = null; // what the pointer is dragging: "limit", or a rectangle's first corner
    this.draws = 0;
    this.read();
  }

  /** Read the cloud from the model. */
  read() {
    this.x = floats(this.model.get("x"));
    this.y = floats(this.model.get("y"));
    this.shade = bytes(this.model.get("shade"));
  }

  /** Draw once at the next frame, however many changes come before it. */
  schedule() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = undefined;
      this.draw();
    });
  }

  ranges() {
    return this.zoom ?? [this.model.get("x_range"), this.model.get("y_range")];
  }

  /** Pixels of the canvas' box, and of its axes' box. */
  measure() {
    const width = Math.max(260, this.el.clientWidth), height = this.model.get("height");
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
    }
    const [[x0, x1], [y0, y1]] = this.ranges();
    const [w, h] = [width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom];
    this.size = { width, height, w, h, ratio };
    this.toX = (x) => MARGIN.left + ((x - x0) / (x1 - x0)) * w;
    this.toY = (y) => MARGIN.top + (1 - (y - y0) / (y1 - y0)) * h;
    this.fromX = (px) => x0 + ((px - MARGIN.left) / w) * (x1 - x0);
    this.fromY = (py) => y0 + (1 - (py - MARGIN.top) / h) * (y1 - y0);
  }

  draw() {
    this.measure();
    const { width, height, w, h, ratio } = this.size;
    const pen = (this.pen = this.canvas.getContext("2d"));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = "white";
    pen.fillRect(0, 0, width, height);
    this.axes();
    this.cloud();
    pen.save();
    pen.beginPath();
    pen.rect(MARGIN.left, MARGIN.top, w, h);
    pen.clip();
    const marks = this.arrange();
    this.cased(staircase(this.points(this.model.get("front"))), INK, 1.4);
    this.trail(marks);
    this.limit();
    this.marks(marks);
    this.rectangle();
    pen.restore();
    this.key();
    this.canvas.setAttribute("aria-label", this.model.get("description"));
    this.keepKeys();
    this.canvas.dataset.drawn = ++this.draws;
  }

  /** Keep keys pressed in the explorer from JupyterLab, which uses arrows as shortcuts. */
  keepKeys() {
    const root = this.el.closest(".simmore");
    if (!root || root.dataset.keys) return;
    root.dataset.keys = "kept";
    root.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
  }

  axes() {
    const { pen } = this, { w, h, height } = this.size;
    const [[x0, x1], [y0, y1]] = this.ranges();
    pen.font = FONT;
    pen.lineWidth = 1;
    pen.strokeStyle = "#e6e6e6";
    pen.fillStyle = INK;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const [value, label] of ticks(x0, x1, Math.max(3, w / 80))) {
      const px = Math.round(this.toX(value)) + 0.5;
      this.line(px, MARGIN.top, px, MARGIN.top + h);
      pen.fillText(label, px, MARGIN.top + h + 5);
    }
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const [value, label] of ticks(y0, y1, Math.max(3, h / 55))) {
      const py = Math.round(this.toY(value)) + 0.5;
      this.line(MARGIN.left, py, MARGIN.left + w, py);
      pen.fillText(label, MARGIN.left - 6, py);
    }
    pen.strokeStyle = "#8c8c8c";
    this.line(MARGIN.left, MARGIN.top + h + 0.5, MARGIN.left + w, MARGIN.top + h + 0.5);
    this.line(MARGIN.left + 0.5, MARGIN.top, MARGIN.left + 0.5, MARGIN.top + h);
    pen.textAlign = "center";
    pen.textBaseline = "bottom";
    pen.fillText(this.model.get("x_label"), MARGIN.left + w / 2, height - 3);
    pen.save();
    pen.translate(13, MARGIN.top + h / 2);
    pen.rotate(-Math.PI / 2);
    pen.textBaseline = "middle";
    pen.fillText(this.model.get("y_label"), 0, 0);
    pen.restore();
  }

  line(x0, y0, x1, y1) {
    this.pen.beginPath();
    this.pen.moveTo(x0, y0);
    this.pen.lineTo(x1, y1);
    this.pen.stroke();
  }

  /** All cells, as squares of three pixels, the ones of high reward over the others. */
  cloud() {
    const { w, h, ratio } = this.size;
    const [columns, rows] = [Math.round(w * ratio), Math.round(h * ratio)];
    if (!this.image || this.image.width !== columns || this.image.height !== rows) {
      this.image = new ImageData(columns, rows);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.heights = new Uint8Array(columns * rows);
      this.layer = new OffscreenCanvas(columns, rows);
    }
    const { pixels, heights, colours, x, y, shade } = this;
    pixels.fill(0);
    heights.fill(0);
    const reach = Math.max(1, Math.round(ratio));
    const [[x0, x1], [y0, y1]] = this.ranges();
    const [scaleX, scaleY] = [columns / (x1 - x0), rows / (y1 - y0)];
    for (let k = 0; k < x.length; k++) {
      const px = Math.round((x[k] - x0) * scaleX), py = Math.round((y1 - y[k]) * scaleY);
      if (!(px >= reach && px < columns - reach && py >= reach && py < rows - reach)) continue;
      const colour = colours[shade[k]];
      for (let j = py - reach; j <= py + reach; j++) {
        for (let i = j * columns + px - reach, end = i + 2 * reach; i <= end; i++) {
          if (heights[i] > shade[k]) continue;
          heights[i] = shade[k];
          pixels[i] = colour;
        }
      }
    }
    this.layer.getContext("2d").putImageData(this.image, 0, 0);
    this.pen.drawImage(this.layer, MARGIN.left, MARGIN.top, w, h);
  }

  points(archs) {
    return archs.map((arch) => [this.toX(this.x[arch]), this.toY(this.y[arch])]);
  }

  /** A line that is visible on any colour: dark with a white rim. */
  cased(points, colour, thickness) {
    const { pen } = this;
    pen.lineJoin = "round";
    for (const [style, extra] of [["white", 2.5], [colour, 0]]) {
      pen.beginPath();
      for (const [x, y] of points) pen.lineTo(x, y);
      pen.strokeStyle = style;
      pen.lineWidth = thickness + extra;
      pen.stroke();
    }
  }

  /** The marks with their places: h* first, then the last measured cell, the recommendation, the others. */
  arrange() {
    const { w, h } = this.size, box = [MARGIN.left, MARGIN.top, MARGIN.left + w, MARGIN.top + h];
    const steps = this.model.get("trail"), recommended = this.model.get("recommended");
    const order = [...new Set(steps)], number = (arch) => order.indexOf(arch) + 1;
    const at = (kind, arch, r) => ({ kind, arch, r, x: this.toX(this.x[arch]), y: this.toY(this.y[arch]) });
    const inside = ({ x, y }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
    const best = at("best", this.model.get("optimum"), 13);
    const first = [...new Set([...steps.slice(-1), ...(recommended < 0 ? [] : [recommended]), ...order])];
    const discs = first.map((arch) => ({ ...at("disc", arch, 8.5), number: number(arch), last: arch === steps.at(-1) }));
    const beside = (kind, arch, r) => discs.filter((disc) => disc.arch === arch).map((by) => ({ kind, arch, r, by }));
    const shown = [best, ...discs].filter(inside);
    const signs = [...beside("cross", recommended, 7), ...(steps.length ? beside("start", steps[0], 9) : [])];
    return spread([...shown, ...signs.filter(({ by }) => shown.includes(by))], box);
  }

  trail(marks) {
    const { pen } = this;
    if (!marks.some(({ kind }) => kind === "disc") && !this.model.get("trail").length) return;
    this.cased(this.points(this.model.get("trail")), BLUE, 1.6);
    const discs = marks.filter(({ kind }) => kind === "disc").reverse();
    pen.strokeStyle = INK;
    pen.lineWidth = 1;
    for (const { x, y, at } of discs) this.line(x, y, ...at); // a disc that had to move points to its cell
    for (const { at, arch, last, number } of discs) {
      if (arch === this.model.get("recommended")) this.ring(at, 10, RED);
      this.disc(at, 7.5, ...(last ? [BLUE, "white", String(number), "white"] : ["white", BLUE, String(number)]));
    }
  }

  disc([px, py], radius, fill, edge, text = "", ink = INK) {
    const { pen } = this;
    pen.beginPath();
    pen.arc(px, py, radius, 0, 2 * Math.PI);
    pen.fillStyle = fill;
    pen.fill();
    pen.strokeStyle = edge;
    pen.lineWidth = 1.5;
    pen.stroke();
    pen.fillStyle = ink;
    pen.font = "bold 9px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(text, px, py + 0.5);
  }

  /** A star or a cross. */
  symbol([px, py], kind, radius, colour) {
    const { pen } = this;
    pen.beginPath();
    if (kind === "cross") {
      for (const s of [-1, 1]) {
        pen.moveTo(px - radius, py - s * radius);
        pen.lineTo(px + radius, py + s * radius);
      }
    } else {
      for (let k = 0; k < 10; k++) {
        const angle = (k * Math.PI) / 5 - Math.PI / 2, r = k % 2 ? radius * 0.45 : radius;
        pen.lineTo(px + r * Math.cos(angle), py + r * Math.sin(angle));
      }
      pen.closePath();
    }
    pen.lineWidth = kind === "cross" ? 6 : 3.5;
    pen.strokeStyle = "white";
    pen.stroke();
    pen.lineWidth = kind === "cross" ? 3 : 1;
    pen.strokeStyle = kind === "cross" ? colour : INK;
    pen.stroke();
    if (kind !== "cross") {
      pen.fillStyle = colour;
      pen.fill();
    }
  }

  limit() {
    const limit = this.model.get("limit");
    if (limit === null) return;
    const { pen } = this, px = this.toX(limit), left = this.model.get("limit_side") === "left";
    const end = left ? MARGIN.left : MARGIN.left + this.size.w;
    pen.fillStyle = "rgba(110,110,110,0.16)"; // beyond the limit
    pen.fillRect(Math.min(px, end), MARGIN.top, Math.abs(end - px), this.size.h);
    pen.setLineDash([6, 4]);
    pen.strokeStyle = RED;
    pen.lineWidth = 2;
    this.line(px, MARGIN.top, px, MARGIN.top + this.size.h);
    pen.setLineDash([]);
    if (this.model.get("limit_best") >= 0) this.ring(...this.points([this.model.get("limit_best")]), 9, RED);
  }

  ring([px, py], radius, colour) {
    const { pen } = this;
    for (const [style, thickness] of [["white", 5], [colour, 2.5]]) {
      pen.beginPath();
      pen.arc(px, py, radius, 0, 2 * Math.PI);
      pen.strokeStyle = style;
      pen.lineWidth = thickness;
      pen.stroke();
    }
  }

  marks(marks) {
    const signs = { best: ["star", 11, RED], start: ["star", 9, ORANGE], cross: ["cross", 5, RED] };
    for (const { kind, at } of marks) if (kind in signs) this.symbol(at, ...signs[kind]);
    for (const [name, radius] of [["selected", 7], ["hovered", 5]]) {
      const arch = this.model.get(name);
      if (arch >= 0) this.ring(...this.points([arch]), radius, INK);
    }
  }

  rectangle() {
    if (!this.drag?.corner || !this.drag.end) return;
    const [[x0, y0], [x1, y1]] = [this.drag.corner, this.drag.end];
    this.pen.strokeStyle = INK;
    this.pen.lineWidth = 1;
    this.pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }

  /** The legend: replaced only when its text changes. */
  key() {
    const [low, high] = this.model.get("reward_range").map((r) => r.toFixed(2));
    const searched = this.model.get("trail").length > 0, limited = this.model.get("limit") !== null;
    const explained = document.getElementById("simmore-term-best") !== null;
    const best = this.model.get("best_label");
    const content = JSON.stringify([low, high, searched, limited, this.zoom !== null, explained, best]);
    if (content === this.keyed) return;
    this.keyed = content;
    const entries = [["★", RED, best, "best"], ["━", INK, "Pareto front", "front"]];
    if (searched) entries.push(["★", ORANGE, "start", "start"], ["①", BLUE, "measured", "latency"]);
    if (searched) entries.push(["✕", RED, "recommendation", "recommendation"]);
    if (limited) entries.push(["◯", RED, "highest within the limit", "limit"]);
    const bar = Object.assign(document.createElement("span"), { className: "simmore-ramp" });
    bar.style.background = `linear-gradient(to right, ${VIRIDIS.join(",")})`;
    this.legend.replaceChildren(...entries.map(([mark, colour, text, key]) => {
      const symbol = Object.assign(document.createElement("b"), { textContent: mark });
      symbol.style.color = colour;
      const entry = document.createElement("span");
      entry.append(symbol, " ", word(text, key));
      return entry;
    }), Object.assign(document.createElement("span"), { className: "simmore-scale" }));
    this.legend.lastChild.append(word("reward r", "reward"), " ", low, bar, high);
    if (this.zoom) {
      const button = Object.assign(document.createElement("button"), { textContent: "whole plane", type: "button" });
      button.onclick = () => this.unzoom();
      this.legend.append(button);
    }
  }

  unzoom() {
    this.zoom = null;
    this.schedule();
  }

  /** The cell nearest to a place on the canvas, or −1. */
  nearest(px, py) {
    let best = -1, least = REACH ** 2;
    for (let k = 0; k < this.x.length; k++) {
      const d = (this.toX(this.x[k]) - px) ** 2 + (this.toY(this.y[k]) - py) ** 2;
      if (d < least) [best, least] = [k, d];
    }
    return best;
  }

  /** The nearest cell in the direction (dx, dy) of a cell, within a quarter of the plane to either side. */
  towards(arch, dx, dy) {
    const [px, py] = [this.toX(this.x[arch]), this.toY(this.y[arch])];
    let best = arch, least = Infinity;
    for (let k = 0; k < this.x.length; k++) {
      const [u, v] = [this.toX(this.x[k]) - px, this.toY(this.y[k]) - py];
      const along = u * dx + v * dy, across = Math.abs(u * dy - v * dx);
      if (along > 0.5 && across <= along && along + 2 * across < least) [best, least] = [k, along + 2 * across];
    }
    return best;
  }

  set(name, value) {
    if (this.model.get(name) === value) return;
    this.model.set(name, value);
    this.model.save_changes();
    this.schedule();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  atLimit(px) {
    const limit = this.model.get("limit");
    return limit !== null && Math.abs(this.toX(limit) - px) < 6;
  }

  move(event) {
    if (!this.size) return;
    const [px, py] = this.place(event);
    if (this.drag === "limit") return this.set("limit", this.fromX(px));
    if (this.drag) {
      this.drag.end = [px, py];
      return this.schedule();
    }
    this.canvas.style.cursor = this.atLimit(px) ? "ew-resize" : "crosshair";
    this.set("hovered", this.nearest(px, py));
  }

  down(event) {
    const [px, py] = this.place(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = this.atLimit(px) ? "limit" : { corner: [px, py] };
  }

  up(event) {
    const [px, py] = this.place(event), drag = this.drag;
    this.drag = null;
    if (!drag?.corner) return;
    const [cx, cy] = drag.corner;
    if (Math.abs(px - cx) < 8 || Math.abs(py - cy) < 8) {
      const arch = this.nearest(px, py);
      if (arch >= 0) this.set("selected", arch);
    } else {
      const order = (a, b) => (a < b ? [a, b] : [b, a]);
      this.zoom = [order(this.fromX(cx), this.fromX(px)), order(this.fromY(cy), this.fromY(py))];
    }
    this.schedule();
  }

  key_down(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const from = this.model.get("selected") >= 0 ? this.model.get("selected") : this.model.get("optimum");
    if (event.key in arrows) this.set("selected", this.towards(from, ...arrows[event.key]));
    else if (event.key === "Home") this.set("selected", this.model.get("optimum"));
    else if (event.key === "Escape") this.unzoom();
    else return;
    event.preventDefault();
  }

  listen() {
    const { canvas, model } = this;
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => (this.drag = null)); // the page scrolls
    canvas.addEventListener("pointerleave", () => this.drag || this.set("hovered", -1));
    canvas.addEventListener("dblclick", () => this.unzoom());
    canvas.addEventListener("keydown", (event) => this.key_down(event));
    model.on("change:x change:y change:shade", () => this.read());
    model.on("change:x_label change:y_label", () => (this.zoom = null));
    model.on("change", () => this.schedule());
    const observer = new ResizeObserver(() => this.schedule());
    observer.observe(this.el);
    return () => {
      observer.disconnect();
      model.off();
    };
  }
}

export default {
  render({ model, el }) {
    const plane = new Plane(model, el);
    plane.schedule();
    return plane.listen();
  },
};
