// Small dense algebra, and the normal distribution. All arrays are Float64Array.

/** A layer: out = weight · x + bias; weight has a row per output. */
export function layer(weight, bias) {
  return { weight, bias, rows: bias.length, columns: weight.length / bias.length };
}

/**
 * Apply a layer to several vectors: vector k of x begins at from + k · stride, and its result in out at
 * to + k · outStride. Two vectors and four outputs at once, because the time goes into reading numbers.
 */
export function affine(layer, x, out, count = 1, from = 0, stride = layer.columns, to = 0, outStride = layer.rows) {
  const { weight, bias, rows, columns } = layer;
  for (let k = 0; k < count; k += 2) {
    const p = from + k * stride, o = to + k * outStride;
    const two = k + 1 < count, q = two ? p + stride : p, r = two ? o + outStride : o;
    let j = 0;
    for (; j + 3 < rows; j += 4) {
      let a = bias[j], b = bias[j + 1], c = bias[j + 2], d = bias[j + 3], e = a, f = b, g = c, h = d;
      for (let i = 0, at = j * columns; i < columns; i++, at++) {
        const u = x[p + i], v = x[q + i];
        const w0 = weight[at], w1 = weight[at + columns], w2 = weight[at + 2 * columns], w3 = weight[at + 3 * columns];
        a += w0 * u;
        e += w0 * v;
        b += w1 * u;
        f += w1 * v;
        c += w2 * u;
        g += w2 * v;
        d += w3 * u;
        h += w3 * v;
      }
      out[o + j] = a;
      out[o + j + 1] = b;
      out[o + j + 2] = c;
      out[o + j + 3] = d;
      out[r + j] = e;
      out[r + j + 1] = f;
      out[r + j + 2] = g;
      out[r + j + 3] = h;
    }
    for (; j < rows; j++) {
      let a = bias[j], e = a;
      for (let i = 0, at = j * columns; i < columns; i++, at++) {
        a += weight[at] * x[p + i];
        e += weight[at] * x[q + i];
      }
      out[o + j] = a;
      out[r + j] = e;
    }
  }
  return out;
}

/** Negative numbers become 0, in place. */
export function relu(x) {
  for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0;
  return x;
}

export function softmax(x) {
  const highest = Math.max(...x), e = x.map((value) => Math.exp(value - highest));
  const total = e.reduce((a, b) => a + b);
  return e.map((value) => value / total);
}

/** Mean 0 and variance 1, then a scale and a shift of each number. */
export function layerNorm(x, scale, shift) {
  const mean = x.reduce((a, b) => a + b) / x.length;
  const deviation = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length + 1e-5);
  return x.map((value, i) => ((value - mean) / deviation) * scale[i] + shift[i]);
}

/** Lower triangular L with L·Lᵀ = A, from the rows of A; in place. */
export function cholesky(rows) {
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = rows[i][j];
      for (let k = 0; k < j; k++) sum -= rows[i][k] * rows[j][k];
      rows[i][j] = i === j ? Math.sqrt(sum) : sum / rows[j][j];
    }
  }
  return rows;
}

/** Solve L·x = b. */
export function solveLower(lower, b) {
  const x = new Float64Array(b.length);
  for (let i = 0; i < b.length; i++) {
    let sum = b[i];
    for (let k = 0; k < i; k++) sum -= lower[i][k] * x[k];
    x[i] = sum / lower[i][i];
  }
  return x;
}

// Chebyshev coefficients of log(erfc(z)·exp(z²)/t) for t = 2/(2 + z) (Press et al., Numerical Recipes, section 6.2)
const ERFC = [
  -1.3026537197817094, 6.4196979235649026e-1, 1.9476473204185836e-2, -9.561514786808631e-3, -9.46595344482036e-4,
  3.66839497852761e-4, 4.2523324806907e-5, -2.0278578112534e-5, -1.624290004647e-6, 1.30365583558e-6, 1.5626441722e-8,
  -8.5238095915e-8, 6.529054439e-9, 5.059343495e-9, -9.91364156e-10, -2.27365122e-10, 9.6467911e-11,
];

/** Distribution function of the normal distribution. */
export function ndtr(x) {
  const z = Math.abs(x) * Math.SQRT1_2, t = 2 / (2 + z), y = 4 * t - 2;
  let d = 0, before = 0;
  for (let j = ERFC.length - 1; j > 0; j--) [d, before] = [y * d - before + ERFC[j], d];
  const tail = 0.5 * t * Math.exp(-z * z + 0.5 * (ERFC[0] + y * d) - before);
  return x < 0 ? tail : 1 - tail;
}
