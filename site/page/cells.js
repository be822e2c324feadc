// Cells as digits, strings and NATS indices, and as users write them; what was measured, as text.

export class Cells {
  /** order: NATS indices in the order of the cells' digits. about: names of operations, and edges. */
  constructor(order, { operations, edges }) {
    this.order = order;
    this.operations = operations;
    this.edges = edges;
    this.digits = new Uint8Array(order.length * edges.length); // a row per cell
    order.forEach((arch, code) => {
      for (let edge = edges.length - 1; edge >= 0; edge--, code = Math.floor(code / operations.length)) {
        this.digits[arch * edges.length + edge] = code % operations.length;
      }
    });
  }

  ops(arch) {
    return this.digits.subarray(arch * this.edges.length, (arch + 1) * this.edges.length);
  }

  /** NATS-Bench's string. */
  string(arch) {
    const names = [...this.ops(arch)].map((op, edge) => `${this.operations[op]}~${this.edges[edge][0]}`);
    return [names.slice(0, 1), names.slice(1, 3), names.slice(3)].map((part) => `|${part.join("|")}|`).join("+");
  }

  /** NATS index of a cell that a user names: index, six digits, or string. Throws an error with one sentence. */
  parse(text) {
    const plain = text.replace(/\s+/g, ""), n = this.order.length;
    if (/^\d{1,5}$/.test(plain) && Number(plain) < n) return Number(plain);
    if (/^[0-4]{6}$/.test(plain) && Number(plain) >= n) return this.order[parseInt(plain, this.operations.length)];
    if (/^[0-4]{6}$/.test(plain)) {
      throw new Error(`“${plain}” could be six digits or an index with leading zeros: write the cell's string instead.`);
    }
    const edges = plain.split(/[|+]+/).filter(Boolean).map((edge) => edge.split("~"));
    const digits = edges.map(([name]) => this.operations.indexOf(name));
    if (edges.length === this.edges.length && !digits.includes(-1)) {
      const arch = this.order[parseInt(digits.join(""), this.operations.length)];
      if (this.string(arch) === plain) return arch;
    }
    throw new Error(`“${shortened(text)}” is not a cell: give an index from 0 to ${n - 1}, six digits 0 to 4, or a string.`);
  }

  /**
   * Measurements in a text, [cell, ms] each: a line has a cell and a latency in ms, or “failed”. A number with a decimal
   * comma follows a semicolon or a blank.
   */
  readings(text) {
    return text.split("\n").flatMap((line, k) => {
      if (!line.trim() || (k === 0 && /latency/i.test(line))) return [];
      const plain = line.trim();
      const parts = plain.match(/^(.*?)\s*(?:[,;]\s+|;|\s+)(\d+,\d+)$/)
        ?? plain.match(/^(.*?)\s*[\s,;]\s*([^\s,;|]+)$/);
      try {
        if (!parts) throw new Error("a line has a cell and its latency in ms, such as “1462, 8.5”.");
        if (/[,;]|\d\s+\d/.test(parts[1])) {
          throw new Error("a line has one cell and one latency: write “1462; 8,5” or “1462, 8.5”.");
        }
        return [[this.parse(parts[1]), milliseconds(parts[2])]];
      } catch (error) {
        throw new Error(`Line ${k + 1}: ${error.message}`);
      }
    });
  }
}

/** A latency in ms, whose decimal point may be a comma; Infinity for a cell that failed. Throws an error with one sentence. */
export function milliseconds(text) {
  const plain = text.trim().toLowerCase();
  if (["failed", "inf", "nan", "-1"].includes(plain)) return Infinity;
  const value = /^[\d.,]+(e[+-]?\d+)?$/.test(plain) ? Number(plain.replace(",", ".")) : NaN;
  if (!(value > 0 && value < 1e9)) {
    throw new Error(`“${shortened(text)}” is not a latency: give a positive number of milliseconds, such as 8.5 or 8,5, or “failed”.`);
  }
  return value;
}

/** A positive number; throws an error with one sentence that begins with `what`. */
export function positive(text, what) {
  const value = Number(text.trim().replace(",", "."));
  if (!(value > 0 && value < 1e9)) throw new Error(`${what} is a positive number, not “${shortened(text)}”.`);
  return value;
}

const shortened = (text) => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
