// A cell as a graph: four nodes, six edges, each with the name and the colour of its operation.

const COLOURS = ["#767676", "#1a1a1a", "#0072B2", "#C44F00", "#007A5A"]; // of the operations
const NODES = [[18, 96], [112, 96], [206, 96], [300, 96]];
const PATHS = [ // of each edge: its path, and the place of its label
  ["M28 96H100", 64, 90], ["M24 87C60 36 160 36 198 86", 112, 44], ["M122 96H194", 158, 90],
  ["M18 86C18 -10 300 -10 300 84", 159, 10], ["M119 104C156 152 260 152 293 106", 206, 152], ["M216 96H288", 252, 90],
];

function svg(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** ops: the cell's six digits; labels: of the operations; title: for screen readers. */
export function graph(ops, labels, title) {
  const picture = svg("svg", { viewBox: "0 0 318 160", role: "img", "aria-label": `The cell ${title}`, "font-size": 11 });
  PATHS.forEach(([path, x, y], edge) => {
    const stroke = COLOURS[ops[edge]], dash = ops[edge] ? {} : { "stroke-dasharray": "2 5" };
    picture.append(svg("path", { d: path, fill: "none", stroke, "stroke-width": 2, ...dash }));
    const label = { x, y, fill: stroke, "text-anchor": "middle", stroke: "white", "stroke-width": 3, "paint-order": "stroke" };
    picture.append(svg("text", label, labels[ops[edge]]));
  });
  NODES.forEach(([x, y], node) => {
    picture.append(svg("circle", { cx: x, cy: y, r: 10, fill: "white", stroke: "#1a1a1a", "stroke-width": 1.5 }));
    picture.append(svg("text", { x, y: y + 4, "text-anchor": "middle" }, String(node)));
  });
  return picture;
}
