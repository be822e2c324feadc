// What the plane shows of a device: rewards, the Pareto front, the best cell, and regrets.

/** Fastest and slowest of the latencies that are finite. */
export function bounds(ms) {
  let low = Infinity, high = -Infinity;
  for (const value of ms) {
    if (value < low) low = value;
    if (value > high && value < Infinity) high = value;
  }
  return [low, high];
}

/** Rewards score + weight · (1 − (ms − fastest) / range); −Infinity for a failed cell, NaN for one that is not known. */
export function rewards(score, ms, weight, [fastest, slowest]) {
  const range = Math.max(slowest - fastest, 1e-12 * slowest);
  return Float32Array.from(score, (value, arch) => value + weight * (1 - (ms[arch] - fastest) / range));
}

/** Place of the largest value; NaN never is. */
export function largest(values) {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k] > values[best] || Number.isNaN(values[best])) best = k;
  return best;
}

/** Places of values from the largest to the smallest. */
export function descending(values) {
  return Uint16Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
}

/** Cells that no other cell beats in latency and height, by rising latency. order: cells by falling height. */
export function paretoFront(ms, y, order) {
  const front = [];
  let fastest = Infinity;
  for (let k = 0; k < order.length; ) {
    let best = -1;
    for (const height = y[order[k]]; k < order.length && y[order[k]] === height; k++) {
      if (ms[order[k]] < (best < 0 ? fastest : ms[best])) best = order[k];
    }
    if (best < 0) continue;
    front.push(best);
    fastest = ms[best];
  }
  return front.reverse();
}

/** (r* − r) / (r* − r₁₀): 0 is the best cell, 1 is what ten random cells give on average. */
export function normalisedRegret(rewards, arch) {
  const sorted = Float64Array.from(rewards).filter(Number.isFinite).sort(), n = sorted.length;
  let random = 0;
  sorted.forEach((reward, k) => (random += reward * (((k + 1) / n) ** 10 - (k / n) ** 10)));
  return (sorted[n - 1] - rewards[arch]) / (sorted[n - 1] - random);
}

/** The cell of highest y within a limit, −1 if there is none. */
export function bestWithin(y, ms, limit) {
  let best = -1;
  for (let arch = 0; arch < y.length; arch++) if (ms[arch] <= limit && (best < 0 || y[arch] > y[best])) best = arch;
  return best;
}

/** A range with a margin of 3 %. */
export function padded([low, high]) {
  const margin = 0.03 * (high - low) || 0.5;
  return [low - margin, high + margin];
}

/** Values as 0 … 255, and their range. */
export function shades(values) {
  const range = bounds(values.map((value) => (value === -Infinity ? NaN : value)));
  const width = Math.max(range[1] - range[0], 1e-12);
  return { shade: Uint8Array.from(values, (value) => Math.max(0, (255 * (value - range[0])) / width)), reward_range: range };
}
