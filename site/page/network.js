// What the controller's network believes of a device: `ContextNetwork` of simmore/rl/context.py, in JavaScript.
//
// The parameters are the same float32 numbers, and sums are in float64. Tests compare both on random histories.

import { affine, cholesky, layer, layerNorm, relu, softmax, solveLower } from "linear";

const NOTHING = 1e-9; // weight of a component that has no effect
const BLOCK = 125; // cells that are computed together

export class Network {
  /**
   * arrays: parameters by name. features: of all cells, one row each, Float32Array. sizes: the constants of context.py.
   */
  constructor(arrays, features, sizes) {
    this.arrays = Object.fromEntries(Object.entries(arrays).map(([name, a]) => [name, Float64Array.from(a)]));
    const names = Object.keys(arrays).filter((name) => name.endsWith(".bias")).map((name) => name.slice(0, -5));
    this.layers = Object.fromEntries(names.map((name) =>
      [name, layer(this.arrays[`${name}.weight`], this.arrays[`${name}.bias`])]));
    this.layers.correct_cell = layer(this.arrays["correct_cell.weight"], new Float64Array(sizes.correction));
    this.sizes = sizes;
    this.features = features;
    this.nCells = features.length / sizes.features;
    this.reference = Int32Array.from(arrays.reference);
    this.noise = this.arrays.log_noise.map((log) => Math.exp(log) ** 2 + sizes.smallestNoise ** 2);
  }

  /** A layer's outputs for one vector, or for several. */
  linear(name, x, count = 1) {
    return affine(this.layers[name], x, new Float64Array(count * this.layers[name].rows), count);
  }

  norm(name, x) {
    return layerNorm(x, this.arrays[`${name}.weight`], this.arrays[`${name}.bias`]);
  }

  /** Features of cells, their hidden units, and their embeddings, a row per cell. */
  encode(from, count = 1) {
    const n = this.sizes.features;
    const x = Float64Array.from(this.features.subarray(from * n, (from + count) * n));
    const hidden = relu(this.linear("encoder.0", x, count));
    return { x, hidden, embedding: this.linear("encoder.2", hidden, count) };
  }

  /** Compute what depends on the cells alone, with pauses; progress is called with the share that is done. */
  async prepare(progress = () => {}) {
    const { components, rank, width, correction } = this.sizes, n = this.nCells;
    this.kernel = new Float32Array(n * components * rank);
    this.prior = new Float32Array(n * components);
    this.variance = new Float64Array(n * components);
    this.query = new Float32Array(n * width);
    this.inner = new Float32Array(n * correction);
    for (let from = 0; from < n; from += BLOCK) {
      const count = Math.min(BLOCK, n - from);
      this.prepareBlock(from, count);
      progress(from / n);
      await new Promise((resolve) => setTimeout(resolve));
    }
    const shares = softmax(this.arrays.component);
    this.priorShape = new Float64Array(n); // latencies that are expected before any measurement, relative
    for (let arch = 0; arch < n; arch++) {
      let log = 0;
      for (let k = 0; k < components; k++) log += shares[k] * this.prior[arch * components + k];
      this.priorShape[arch] = Math.exp(log);
    }
  }

  prepareBlock(from, count) {
    const { components, rank, width, correction, offsetVariance } = this.sizes;
    const { x, hidden, embedding } = this.encode(from, count), [a, b] = [x.length / count, hidden.length / count];
    const wide = new Float64Array(x.length + hidden.length);
    for (let k = 0; k < count; k++) {
      wide.set(x.subarray(k * a, (k + 1) * a), k * (a + b));
      wide.set(hidden.subarray(k * b, (k + 1) * b), k * (a + b) + a);
    }
    this.kernel.set(this.linear("kernel", wide, count), from * components * rank);
    this.prior.set(this.linear("prior_mean", wide, count), from * components);
    this.query.set(this.linear("query", embedding, count), from * width);
    this.inner.set(this.linear("correct_cell", embedding, count), from * correction);
    for (let at = from * components; at < (from + count) * components; at++) {
      let sum = offsetVariance;
      for (let r = at * rank; r < (at + 1) * rank; r++) sum += this.kernel[r] * this.kernel[r];
      this.variance[at] = sum;
    }
  }

  /** A cell's features of one Gaussian process. */
  phi(arch, component) {
    const { components, rank } = this.sizes, at = (arch * components + component) * rank;
    return Float64Array.from(this.kernel.subarray(at, at + rank));
  }

  /**
   * The belief on all cells, from distinct measured cells and their log latencies relative to the mean of these.
   *
   * mean, deviation: of the log latency of every cell; range, fastest: [mean, deviation] of their logarithms.
   */
  believe(archs, y) {
    const tokens = this.encodeSet(archs, y);
    const pooled = new Float64Array(this.sizes.width);
    for (const token of tokens) token.forEach((value, i) => (pooled[i] += value / tokens.length));
    const [mean, deviation] = this.predict(this.processes(archs, y), tokens, pooled);
    const { extremes, range, fastest } = rangeFeatures(mean, deviation, this.reference);
    const ends = this.linear("ends.2", relu(this.linear("ends.0", Float64Array.of(...pooled, ...extremes))));
    const [wide, narrow] = [ends[2], ends[3]].map((end) => Math.exp(Math.min(Math.max(end - 1.5, -5), 1)));
    return { mean, deviation, range: [range + ends[0], wide], fastest: [fastest + ends[1], narrow], summary: pooled };
  }

  /** Transformer over the set of measured cells: a token each. */
  encodeSet(archs, y) {
    const n = archs.length, { width, heads, layers } = this.sizes, size = width / heads;
    let tokens = archs.map((arch, i) => {
      const rank = y.reduce((sum, other) => sum + (y[i] > other), 0) / Math.max(n - 1, 1);
      return this.linear("token", Float64Array.of(...this.encode(arch).embedding, y[i], rank, Math.min(n, 10) / 10));
    });
    for (let k = 0; k < layers; k++) {
      const qkv = tokens.map((t) => this.linear(`layers.${k}.attend`, this.norm(`layers.${k}.norm1`, t)));
      tokens = tokens.map((t, i) => {
        const mixed = new Float64Array(width);
        for (let at = 0; at < width; at += size) {
          const share = softmax(qkv.map((other) => {
            let sum = 0;
            for (let s = at; s < at + size; s++) sum += qkv[i][s] * other[width + s];
            return sum / Math.sqrt(size);
          }));
          qkv.forEach((other, j) => {
            for (let s = at; s < at + size; s++) mixed[s] += share[j] * other[2 * width + s];
          });
        }
        t = add(t, this.linear(`layers.${k}.out`, mixed));
        const feed = relu(this.linear(`layers.${k}.feed.0`, this.norm(`layers.${k}.norm2`, t)));
        return add(t, this.linear(`layers.${k}.feed.2`, feed));
      });
    }
    return tokens.map((t) => this.norm("norm", t));
  }

  /** Posterior of each Gaussian process: its weight, and what a prediction needs. */
  processes(archs, y) {
    const { components, rank, offsetVariance } = this.sizes, n = archs.length;
    const found = Array.from({ length: components }, (_, k) => {
      const phi = archs.map((arch) => this.phi(arch, k));
      const prior = archs.map((arch) => this.prior[arch * components + k]);
      const factor = cholesky(phi.map((a, i) => Float64Array.from(phi, (b, j) =>
        a.reduce((sum, value, r) => sum + value * b[r], offsetVariance) + (i === j ? this.noise[k] : 0))));
      const white = solveLower(factor, y.map((value, i) => value - prior[i]));
      const columns = Array.from({ length: rank }, (_, r) => solveLower(factor, phi.map((a) => a[r])));
      const basis = new Float64Array(n * rank);
      for (let i = 0; i < n; i++) for (let r = 0; r < rank; r++) basis[i * rank + r] = columns[r][i];
      const offset = solveLower(factor, new Float64Array(n).fill(offsetVariance));
      const fit = white.reduce((sum, value) => sum - 0.5 * value * value, this.arrays.component[k]);
      const logWeight = factor.reduce((sum, row, i) => sum - Math.log(row[i]), fit);
      return { white, reduce: layer(basis, offset), logWeight };
    });
    const weights = softmax(found.map((each) => each.logWeight));
    return found.map((each, k) => ({ ...each, weight: weights[k] }));
  }

  /** Mean and deviation of the log latency of all cells. */
  predict(processes, tokens, pooled) {
    const { width, heads, correction } = this.sizes, n = tokens.length, columns = heads * n + 2;
    const used = processes.map((each, k) => ({ ...each, k })).filter((each) => each.weight > NOTHING);
    const attention = this.attention(tokens), first = this.correctionInputs(processes, tokens, pooled);
    const mean = new Float32Array(this.nCells), deviation = new Float32Array(this.nCells);
    const input = new Float64Array(BLOCK * columns); // attention of each head to each token, mean, log deviation
    const query = new Float64Array(BLOCK * width), inner = new Float64Array(BLOCK * correction);
    const second = new Float64Array(BLOCK * correction), last = new Float64Array(2 * BLOCK);
    const moments = { mean: new Float64Array(BLOCK), deviation: new Float64Array(BLOCK) };
    const perCell = this.sizes.components * this.sizes.rank;
    const room = { phi: new Float64Array(BLOCK * perCell), reduced: new Float64Array(BLOCK * n) };
    for (let from = 0; from < this.nCells; from += BLOCK) {
      const count = Math.min(BLOCK, this.nCells - from);
      this.mixture(used, from, count, moments, room);
      query.set(this.query.subarray(from * width, (from + count) * width));
      attention.forEach((head, h) => {
        affine(head, query, input, count, h * head.columns, width, h * n, columns);
        for (let k = 0; k < count; k++) normalise(input, k * columns + h * n, n);
      });
      for (let k = 0; k < count; k++) {
        input[(k + 1) * columns - 2] = moments.mean[k];
        input[(k + 1) * columns - 1] = Math.log(moments.deviation[k]);
      }
      affine(first, input, inner, count);
      for (let k = 0; k < count * correction; k++) inner[k] += this.inner[from * correction + k];
      affine(this.layers["correct.0"], relu(inner), second, count);
      affine(this.layers["correct.2"], relu(second), last, count);
      for (let k = 0; k < count; k++) {
        mean[from + k] = moments.mean[k] + moments.deviation[k] * last[2 * k];
        deviation[from + k] = moments.deviation[k] * Math.exp(Math.min(Math.max(last[2 * k + 1], -3), 3));
      }
    }
    return [mean, deviation];
  }

  /** Moments of the mixture of Gaussian processes, for a block of cells; `moments` gets them. */
  mixture(used, from, count, { mean, deviation }, { phi, reduced }) {
    const { components, rank } = this.sizes, leastNoise = Math.min(...this.noise);
    phi.set(this.kernel.subarray(from * components * rank, (from + count) * components * rank));
    mean.fill(0);
    deviation.fill(0); // the second moment, at first
    for (const { k, weight, white, reduce } of used) {
      const n = white.length, noise = this.noise[k];
      affine(reduce, phi, reduced, count, k * rank, components * rank);
      for (let c = 0, at = 0; c < count; c++) {
        let one = this.prior[(from + c) * components + k], variance = this.variance[(from + c) * components + k];
        for (let i = 0; i < n; i++, at++) {
          one += white[i] * reduced[at];
          variance -= reduced[at] * reduced[at];
        }
        mean[c] += weight * one;
        deviation[c] += weight * (Math.max(variance, 0) + noise + one * one);
      }
    }
    for (let c = 0; c < count; c++) deviation[c] = Math.sqrt(Math.max(deviation[c] - mean[c] * mean[c], leastNoise));
  }

  /** For each head the layer from a query to the logits of the tokens. */
  attention(tokens) {
    const { width, heads } = this.sizes, size = width / heads, n = tokens.length;
    const keys = tokens.map((t) => this.linear("key", t).map((value) => value / Math.sqrt(size)));
    return Array.from({ length: heads }, (_, h) => {
      const weight = keys.flatMap((key) => [...key.subarray(h * size, (h + 1) * size)]);
      return layer(Float64Array.from(weight), new Float64Array(n));
    });
  }

  /** The correction's first layer on attention, mean and log deviation; its bias is what is the same for all cells. */
  correctionInputs(processes, tokens, pooled) {
    const { components, width, heads, correction } = this.sizes, size = width / heads, n = tokens.length;
    const values = tokens.map((t) => this.linear("value", t));
    const weight = new Float64Array(correction * (heads * n + 2));
    const bias = this.linear("correct_pooled", pooled);
    const [attended, process] = [this.arrays["correct_attended.weight"], this.arrays["correct_process.weight"]];
    for (let j = 0, at = 0; j < correction; j++) {
      for (let h = 0; h < heads; h++) {
        for (let i = 0; i < n; i++, at++) {
          for (let s = h * size; s < (h + 1) * size; s++) weight[at] += attended[j * width + s] * values[i][s];
        }
      }
      weight[at++] = process[j * (2 + components)];
      weight[at++] = process[j * (2 + components) + 1];
      processes.forEach((each, k) => (bias[j] += process[j * (2 + components) + 2 + k] * each.weight));
    }
    return layer(weight, bias);
  }
}

const add = (a, b) => a.map((value, i) => value + b[i]);

/** Softmax of n numbers from a place on. */
function normalise(x, from, n) {
  let highest = -Infinity, total = 0;
  for (let k = from; k < from + n; k++) if (x[k] > highest) highest = x[k];
  for (let k = from; k < from + n; k++) total += x[k] = Math.exp(x[k] - highest);
  for (let k = from; k < from + n; k++) x[k] /= total;
}

/** Inputs of the range's head from the belief on the reference cells, and the log range and log fastest of it. */
function rangeFeatures(mean, deviation, reference) {
  let slow = reference[0], fast = reference[0];
  for (const arch of reference) {
    if (mean[arch] > mean[slow]) slow = arch;
    if (mean[arch] < mean[fast]) fast = arch;
  }
  const [highest, lowest] = [mean[slow], mean[fast]];
  const range = highest + Math.log(Math.max(1 - Math.exp(lowest - highest), 1e-3));
  const extremes = [range, highest, lowest, Math.log(deviation[slow]), Math.log(deviation[fast])];
  return { extremes, range, fastest: lowest };
}
