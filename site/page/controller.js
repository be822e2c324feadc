// The search of the controller, and the recommendation by its own heads: simmore/strategies/in_context.py, in JavaScript.
//
// A problem is { score: of all cells, weight: of latency, limit: ms or null, measurable: 1 where a cell may be
// measured, or null for all }.

import { decide, expectedRegret, rank } from "decision";

export class Controller {
  constructor(network) {
    this.network = network;
  }

  /** A situation of all cells, and the log of the latency in ms that it is relative to; null before any latency. */
  see(problem, history, remaining) {
    const { network } = this;
    const cells = history.usable(network.priorShape).sort(([a], [b]) => a - b);
    if (!cells.length) return null;
    const read = thinned(cells, network.sizes.mostTokens);
    const centre = read.reduce((sum, [, ms]) => sum + Math.log(ms), 0) / read.length;
    const key = JSON.stringify(read);
    if (key !== this.key) {
      this.belief = network.believe(read.map(([arch]) => arch), read.map(([, ms]) => Math.log(ms) - centre));
      this.key = key;
    }
    const measured = {
      archs: cells.map(([arch]) => arch),
      score: cells.map(([arch]) => problem.score[arch]),
      logLatency: cells.map(([, ms]) => Math.log(ms) - centre),
    };
    const logLimit = problem.limit === null ? NaN : Math.log(problem.limit) - centre;
    const { score, weight } = problem;
    return { belief: this.belief, score, weight, remaining, logLimit, measured, centre };
  }

  /**
   * What to do after a history, of which `remaining` more cells may be measured.
   *
   * next: { arch, ms: predicted, logits: of all cells, −∞ where a cell may not be chosen }; null: the search has ended.
   * recommendation: { arch, regret, ranked: measured cells, the best first, values: what they are ranked by }, or null.
   * prediction: { ms: of all cells, fastest, range }; null before any latency.
   */
  step(problem, history, remaining) {
    const seen = this.see(problem, history, remaining);
    if (!seen) {
      const next = this.choose(problem, history, remaining, this.firstValues(problem));
      return { next, recommendation: null, prediction: null };
    }
    const { logits, chance, shared } = decide(this.network, seen);
    const next = this.choose(problem, history, remaining, logits);
    const prediction = predict(seen, history);
    if (next) next.ms = prediction.ms[next.arch];
    return { next, recommendation: this.recommend(problem, history, seen, chance, shared), prediction };
  }

  /** The cell with the largest logit among those that may be chosen. */
  choose({ score, limit, measurable }, history, remaining, logits) {
    const kept = history.cells.filter(([, ms]) => limit !== null && ms <= limit).map(([arch]) => score[arch]);
    const least = kept.length ? Math.max(...kept) : -Infinity; // under a limit only higher scores are of interest
    let best = -1;
    for (let arch = 0; arch < score.length; arch++) {
      if (!(score[arch] > least) || history.has(arch) || !(measurable?.[arch] ?? 1)) logits[arch] = -Infinity;
      else if (best < 0 || logits[arch] > logits[best]) best = arch;
    }
    return remaining <= 0 || best < 0 ? null : { arch: best, ms: null, logits };
  }

  /** Rewards of all cells, before any latency. */
  firstValues({ score, weight }) {
    const shape = this.network.priorShape;
    const width = shape.reduce((a, b) => Math.max(a, b)) - shape.reduce((a, b) => Math.min(a, b));
    return shape.map((ms, arch) => score[arch] - (weight * ms) / width);
  }

  recommend(problem, history, seen, chance, shared) {
    const limited = problem.limit !== null, { measured } = seen;
    const value = limited ? measured.score : rank(this.network, seen);
    const valueOf = new Map(measured.archs.map((arch, i) => [arch, value[i]]));
    const cells = history.cells.filter(([arch, ms]) => valueOf.has(arch) && (!limited || ms <= problem.limit));
    if (!cells.length) return null;
    const ranked = cells.map(([arch]) => arch).sort((a, b) => valueOf.get(b) - valueOf.get(a));
    const regret = limited
      ? lostScore(problem, history, chance, ranked[0])
      : expectedRegret(this.network, seen, shared);
    return { arch: ranked[0], regret, ranked, values: ranked.map((arch) => valueOf.get(arch)) };
  }
}

/** Expected latencies in ms: of all cells, of the fastest cell, and of the range. */
function predict({ belief, centre }, history) {
  const fastest = Math.exp(belief.fastest[0] + centre);
  return {
    ms: belief.mean.map((log) => Math.exp(log + centre)),
    fastest: Math.min(fastest, ...history.cells.map(([, ms]) => ms)),
    range: Math.exp(belief.range[0] + centre),
  };
}

/** So many cells as the network reads, evenly spaced from the fastest to the slowest, in their order. */
function thinned(cells, most) {
  if (cells.length <= most) return cells;
  const byLatency = [...cells].sort(([a, x], [b, y]) => x - y || a - b);
  const place = (k) => Math.round((k * (cells.length - 1)) / (most - 1));
  const chosen = new Set(Array.from({ length: most }, (_, k) => byLatency[place(k)]));
  return cells.filter((each) => chosen.has(each));
}

/** Score that the best unmeasured cell within the limit is expected to have above a cell's. */
function lostScore({ score, measurable }, history, chance, arch) {
  const better = [];
  for (let other = 0; other < score.length; other++) {
    if (score[other] > score[arch] && !history.has(other) && (measurable?.[other] ?? 1)) better.push(other);
  }
  better.sort((a, b) => score[b] - score[a]);
  let none = 1, lost = 0; // probability that no better cell is within the limit
  for (const other of better) {
    lost += none * chance[other] * (score[other] - score[arch]);
    none *= 1 - chance[other];
  }
  return lost;
}
