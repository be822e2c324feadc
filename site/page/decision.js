// From a belief to logits of all cells and of the measured ones: the features of simmore/rl/context.py, in JavaScript.
//
// A situation is { belief, score, weight, remaining, logLimit (NaN: none), measured: { archs, score, logLatency } }.

import { affine, ndtr, relu } from "linear";

const NODES = [-Math.sqrt(3), 0, Math.sqrt(3)], SHARES = [1 / 6, 4 / 6, 1 / 6]; // Gauss–Hermite, over the log range
const N_FEATURES = 13, BLOCK = 125; // of a cell; cells that are computed together

const clip = (value, low, high) => Math.min(Math.max(value, low), high);

function ranges({ belief }) {
  return NODES.map((node) => Math.exp(clip(belief.range[0] + node * belief.range[1], -12, 12)));
}

/** Rewards of the measured cells up to a constant: a row for each node of the range. */
function measuredRewards({ measured, weight }, ranges) {
  return ranges.map((range) => measured.score.map((p, i) => p - (weight / range) * Math.exp(measured.logLatency[i])));
}

/**
 * Logits of all cells; `chance` is the probability that each keeps the limit, null without one; `shared` is what the
 * features of all cells have in common and the expected regret needs.
 */
export function decide(network, now) {
  const { belief, score } = now, n = score.length, limited = Number.isFinite(now.logLimit);
  const improvement = new Float32Array(n), gains = new Float32Array(n);
  const second = new Float32Array(n), third = new Float32Array(n); // spread and shortfall, or chance and margin
  if (limited) withinLimit(now, improvement, gains, second, third);
  else expectedImprovement(now, improvement, gains, second, third);
  const best = bestWithin(now);
  let highest = -Infinity;
  for (let arch = 0; arch < n; arch++) {
    improvement[arch] = Math.log(Math.max(improvement[arch], 0) + network.sizes.lowestLogEi);
    if (improvement[arch] > highest) highest = improvement[arch];
  }
  const shared = [
    highest / 3 + 1, Math.min(now.remaining, 10) / 5 - 1, limited ? 0 : Math.log(now.weight),
    Math.log(belief.range[1]) + 2, Number(limited),
  ];
  const logits = new Float32Array(n), beta = network.arrays.beta[0];
  const x = new Float64Array(BLOCK * N_FEATURES), hidden = new Float64Array(BLOCK * 32), out = new Float64Array(BLOCK);
  for (let k = 0; k < BLOCK; k++) x.set(shared, k * N_FEATURES + 8);
  for (let from = 0; from < n; from += BLOCK) {
    const count = Math.min(BLOCK, n - from);
    for (let k = 0, at = 0; k < count; k++, at += N_FEATURES) {
      const arch = from + k;
      x[at] = improvement[arch];
      x[at + 1] = clip(10 * gains[arch], -5, 5);
      x[at + 2] = limited ? second[arch] : Math.min(10 * second[arch], 5);
      x[at + 3] = clip(5 * (score[arch] - best), -5, 5);
      x[at + 4] = limited ? 0 : Math.min(5 * third[arch], 5);
      x[at + 5] = Math.log(Math.min(belief.deviation[arch], 1)) + 3;
      x[at + 6] = limited ? third[arch] / 3 : 0;
      x[at + 7] = improvement[arch] - highest;
    }
    affine(network.layers["decide.0"], x, hidden, count);
    affine(network.layers["decide.2"], relu(hidden), out, count);
    for (let k = 0; k < count; k++) logits[from + k] = beta * improvement[from + k] + out[k];
  }
  return { logits, chance: limited ? second : null, shared: [shared[0], ...shared.slice(2)] };
}

/** Expected improvement of the reward, over the nodes of the range; gain, spread and shortfall at the middle one. */
function expectedImprovement(now, improvement, gains, spreads, shortfalls) {
  const { belief, score, weight } = now, nodes = ranges(now);
  const incumbents = measuredRewards(now, nodes).map((rewards) => Math.max(...rewards));
  for (let arch = 0; arch < score.length; arch++) {
    const latency = Math.exp(clip(belief.mean[arch], -12, 12)), deviation = Math.min(belief.deviation[arch], 1);
    for (let k = 0; k < nodes.length; k++) {
      const shortfall = (weight / nodes[k]) * latency;
      const gain = score[arch] - shortfall - incumbents[k], spread = shortfall * deviation + 1e-4;
      const z = clip(gain / spread, -9, 9);
      if (z > -9) {
        const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
        improvement[arch] += SHARES[k] * (gain * ndtr(z) + spread * density);
      }
      if (k === 1) [gains[arch], spreads[arch], shortfalls[arch]] = [gain, spread, shortfall];
    }
  }
}

/** Improvement of the score within a limit, times the probability that the cell keeps it. */
function withinLimit(now, improvement, gains, chances, margins) {
  const { belief, score, logLimit } = now, best = bestWithin(now);
  for (let arch = 0; arch < score.length; arch++) {
    margins[arch] = clip((logLimit - belief.mean[arch]) / Math.min(belief.deviation[arch], 1), -9, 9);
    chances[arch] = ndtr(margins[arch]);
    gains[arch] = (score[arch] - best) * chances[arch];
    improvement[arch] = Math.max(score[arch] - best, 0) * chances[arch];
  }
}

/** Highest score that was measured, within the limit if there is one; the lowest of all scores if there is none. */
function bestWithin({ measured, score, logLimit }) {
  const kept = measured.score.filter((_, i) => !(measured.logLatency[i] > logLimit));
  return kept.length ? Math.max(...kept) : lowest(score);
}

const lowest = (values) => values.reduce((a, b) => Math.min(a, b));

/** Logits of the measured cells, for the recommendation. */
export function rank(network, now) {
  const { belief, measured } = now, nodes = ranges(now), n = measured.score.length;
  const relative = measuredRewards(now, nodes).map((rewards) => {
    const highest = Math.max(...rewards);
    return rewards.map((reward) => Math.max(reward - highest, -2));
  });
  const mean = measured.score.map((_, i) => SHARES.reduce((sum, share, k) => sum + share * relative[k][i], 0));
  const latency = measured.logLatency.map(Math.exp);
  const [bestMean, bestScore, fastest] = [Math.max(...mean), Math.max(...measured.score), Math.min(...latency)];
  const shared = [Math.min(n, 10) / 5 - 1, Math.log(now.weight), Math.log(belief.range[1]) + 2, Math.log(nodes[1]) / 2];
  return mean.map((value, i) => {
    const x = Float64Array.of(
      value - bestMean,
      ...relative.map((rewards) => Math.max(10 * rewards[i], -5)),
      5 * (measured.score[i] - bestScore),
      Math.min((5 * (latency[i] - fastest)) / nodes[1], 5),
      ...shared,
    );
    const hidden = relu(network.linear("recommend.0", x));
    return network.arrays.recommend_beta[0] * x[0] + network.linear("recommend.2", hidden)[0];
  });
}

/** Expected normalised regret of the recommendation; `shared` comes from `decide`. */
export function expectedRegret(network, now, shared) {
  const n = Math.min(now.measured.score.length, 10) / 5 - 1;
  const x = Float64Array.of(...now.belief.summary, n, ...shared);
  const value = network.linear("regret.2", relu(network.linear("regret.0", x)))[0];
  return Math.max(value, 0) + Math.log1p(Math.exp(-Math.abs(value)));
}
