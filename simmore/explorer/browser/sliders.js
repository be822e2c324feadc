// Five sliders, one per operation, over the Gaussian of synthetic devices and marks for the measured ones.

const SVG = "http://www.w3.org/2000/svg";
const [W, H] = [200, 34]; // of the drawing, in its own units

function element(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const number = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

/** How unusual a latency is among synthetic devices, in standard deviations. */
function unusual(value, mean, sd) {
  const z = (value - mean) / sd;
  return `${z < 0 ? "−" : "+"}${Math.abs(z).toFixed(1)} σ`;
}

function picture(mean, sd, marks, maximum) {
  const at = (value) => (value / maximum) * W;
  const points = Array.from({ length: 81 }, (_, k) => (k / 80) * maximum).map(
    (value) => `${at(value)},${H - 8 - (H - 10) * Math.exp(-0.5 * ((value - mean) / sd) ** 2)}`,
  );
  const drawing = element("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  drawing.append(element("polygon", { points: `0,${H - 8} ${points.join(" ")} ${W},${H - 8}`, class: "simmore-bell" }));
  for (const value of marks) {
    drawing.append(element("line", { x1: at(value), x2: at(value), y1: H - 7, y2: H - 1, class: "simmore-mark" }));
  }
  return drawing;
}

function row(model, k) {
  const name = model.get("names")[k];
  const box = Object.assign(document.createElement("div"), { className: "simmore-slider" });
  box.style.flexGrow = 8 + name.length; // a longer label needs a wider slider
  const label = Object.assign(document.createElement("span"), { className: "simmore-name", textContent: name });
  const field = Object.assign(document.createElement("input"), { type: "text", inputMode: "decimal", size: 5 });
  field.setAttribute("aria-label", `latency of ${name} in ms, as a number`);
  const sigma = Object.assign(document.createElement("span"), { className: "simmore-sigma" });
  sigma.title = "distance from the mean synthetic device, in standard deviations";
  const track = Object.assign(document.createElement("div"), { className: "simmore-track" });
  const input = Object.assign(document.createElement("input"), { type: "range", min: 0 });
  input.setAttribute("aria-label", `latency of ${name} in ms`);
  const head = Object.assign(document.createElement("div"), { className: "simmore-head" });
  head.append(label, sigma);
  const foot = Object.assign(document.createElement("label"), { className: "simmore-foot" });
  foot.append(field, " ms");
  box.append(head, track, foot);

  const show = () => {
    const value = model.get("values")[k], maximum = model.get("maxima")[k];
    if (input.max !== String(maximum)) {
      input.max = maximum;
      input.step = maximum / 400;
      track.replaceChildren(picture(model.get("mean")[k], model.get("sd")[k], model.get("marks")[k], maximum), input);
    }
    if (document.activeElement !== input || Number(input.value) === 0 || Math.abs(input.value - value) > maximum / 200) {
      input.value = value;
    }
    field.value = number(value);
    sigma.textContent = unusual(value, model.get("mean")[k], model.get("sd")[k]);
    input.setAttribute("aria-valuetext", `${number(value)} ms, ${sigma.textContent}`);
  };
  input.addEventListener("input", () => {
    model.set("values", model.get("values").map((value, i) => (i === k ? Number(input.value) : value)));
    model.save_changes();
  });
  // the kernel checks the typed text, and says why if it is not a latency
  field.addEventListener("change", () => model.send({ operation: k, text: field.value }));
  model.on("change:values change:maxima", show);
  model.on("msg:custom", show);
  show();
  return box;
}

export default {
  render({ model, el }) {
    const box = Object.assign(document.createElement("div"), { className: "simmore-sliders" });
    box.append(...model.get("names").map((_, k) => row(model, k)));
    el.append(box);
    return () => model.off();
  },
};
