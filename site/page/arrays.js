// Tables that are embedded in the page: compressed, as base64, written by site/make_page.py.

const KINDS = { u1: Uint8Array, u2: Uint16Array, f4: Float32Array, f8: Float64Array };

/** The arrays of an element of the page, by name. */
export async function unpack(id) {
  const text = atob(document.getElementById(id).textContent);
  const packed = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) packed[k] = text.charCodeAt(k);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const start = 4 + new DataView(buffer).getUint32(0, true); // of the arrays, after a list of them
  const list = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, start - 4)));
  return Object.fromEntries(list.map(({ name, kind, length, at }) => [name, array(buffer, start + at, kind, length)]));
}

/** Numbers whose first bytes come first, then all second bytes, and so on: so they compress better. */
function array(buffer, at, kind, length) {
  const size = KINDS[kind].BYTES_PER_ELEMENT, found = new KINDS[kind](length);
  const planes = new Uint8Array(buffer, at, size * length), bytes = new Uint8Array(found.buffer);
  for (let b = 0; b < size; b++) for (let k = 0; k < length; k++) bytes[k * size + b] = planes[b * length + k];
  return found;
}

/** A column of a table that is in the order of the cells' digits, in NATS order. */
export function inNatsOrder(column, order) {
  const found = new column.constructor(column.length);
  for (let k = 0; k < order.length; k++) found[order[k]] = column[k];
  return found;
}
