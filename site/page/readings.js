// What was measured: `History` of simmore/strategies/problem.py, and which readings cannot be right.

export class History {
  /** steps: [cell, ms] each, Infinity where the cell failed; sizes: the constants of models/readings.py. */
  constructor(steps, sizes) {
    this.sizes = sizes;
    this.readings = new Map(); // of each cell, in the order of their first measurement
    this.confirmed = new Set(); // cells with two readings that agree
    for (const [arch, ms] of steps) this.add(arch, ms);
  }

  add(arch, ms) {
    if (!this.readings.has(arch)) this.readings.set(arch, []);
    if (ms === Infinity) return;
    const readings = this.readings.get(arch);
    if (readings.some((one) => Math.max(one, ms) <= this.sizes.agreement * Math.min(one, ms))) this.confirmed.add(arch);
    readings.push(ms);
  }

  get length() {
    return this.readings.size;
  }

  has(arch) {
    return this.readings.has(arch);
  }

  /** Distinct cells, [cell, ms] each: the median of a cell's readings, Infinity where all failed. */
  get cells() {
    return [...this.readings].map(([arch, readings]) => [arch, median(readings)]);
  }

  /** Cells with a latency that cannot be right beside the others. priorShape: latencies of a typical device. */
  implausible(priorShape) {
    const works = this.cells.filter(([, ms]) => ms < Infinity);
    const finite = works.map(([arch, ms]) => ({ arch, ratio: ms / priorShape[arch] }));
    if (finite.length < 3) return new Set();
    const middle = finite.map((each) => each.ratio).sort((a, b) => a - b)[Math.floor((finite.length - 1) / 2)];
    const { tooSlow, tooFast } = this.sizes;
    const wrong = finite.filter(({ ratio }) => ratio > tooSlow * middle || ratio * tooFast < middle);
    return new Set(wrong.map((each) => each.arch).filter((arch) => !this.confirmed.has(arch)));
  }

  /** Distinct cells that neither failed nor are implausible. */
  usable(priorShape) {
    const wrong = this.implausible(priorShape);
    return this.cells.filter(([arch, ms]) => ms < Infinity && !wrong.has(arch));
  }
}

function median(values) {
  if (!values.length) return Infinity;
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}
