"""Named scores: each is a definition over terms, the columns of the stored tables.

- ``freerea``: p of the paper, the mean of NASWOT, LogSynflow and SkipScore, each normalised over the search space;
- ``az``: AZ-NAS (Lee & Ham 2024), the log-rank sum of its four terms;
- ``combined``: the log-rank sum of AZ-NAS's four terms, NASWOT and LogSynflow;
- ``params``: the number of parameters.

The *log-rank sum* of terms is ``Σ log(rank / n)``: among n cells, the best in a term has rank n and adds 0. Equal
values share their mean rank.

**What weight 1 means.** The reward ``score + weight · ℓ̄`` depends on the scale of the score. The values of each named
score are therefore mapped to the distribution of p on the same data set: the cell that is best in the score gets the
highest p, the median cell the median p, and so on. So the weight buys the same quantiles in each score. A latency limit
needs only the order of the cells, and has no weight. An array that a user passes keeps its own scale.

``az`` is as published. ``combined`` is the best of three combinations that a prototype compared on 1,200 of the cells,
so its figures on these cells are slightly optimistic. No other accuracy was used to choose terms or weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simmore import data, space
from simmore.errors import needs
from simmore.proxies.definitions import freerea_score

AZ_NAS = ("expressivity", "progressivity", "trainability", "complexity")
"""AZ-NAS's terms. Complexity is `space.live_flops`: a layer that the output does not depend on adds nothing."""
TERMS = ("naswot", "logsynflow", "skip", *AZ_NAS, "params", "flops")
"""All terms: columns of `data.scores` or of `data.az_terms`, and complexity."""
DEFAULT = "freerea"


@dataclass(frozen=True)
class Definition:
    """A named score.

    Attributes
    ----------
    terms
        Names among `TERMS`; more is better in each.
    description
        One line for users.
    label
        Its name in figures and messages.
    """

    terms: tuple[str, ...]
    description: str
    label: str


SCORES: dict[str, Definition] = {
    "freerea": Definition(("naswot", "logsynflow", "skip"), "p of the paper (FreeREA)", "p"),
    "az": Definition(AZ_NAS, "AZ-NAS: log-rank sum of its four terms", "AZ-NAS"),
    "combined": Definition(
        (*AZ_NAS, "naswot", "logsynflow"), "log-rank sum of AZ-NAS's terms, NASWOT and LogSynflow", "combined"
    ),
    "params": Definition(("params",), "the number of parameters", "parameters"),
}
"""The named scores."""


def definition(name: str) -> Definition:
    """The definition of a named score.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if name not in SCORES:
        raise ValueError(f"no score {name!r}: choose one of {', '.join(SCORES)}")
    return SCORES[name]


def stored_term(name: str, dataset: str = "cifar10") -> NDArray[np.float64]:
    """One of `TERMS` of all cells, ``(15625,)``, from the stored tables.

    Raises
    ------
    ValueError
        For an unknown term or data set.
    TableMissing
        If its table has not been computed yet; the message names the command.
    """
    if name not in TERMS:
        raise ValueError(f"no term {name!r}: choose from {', '.join(TERMS)}")
    if name == "complexity":
        return space.live_flops(np.arange(space.N_ARCHS), *data.task(dataset))
    table = data.az_terms(dataset) if name in AZ_NAS[:-1] else data.scores(dataset)
    return table[name].to_numpy(dtype=np.float64)


@cache
def stored_score(dataset: str = "cifar10", name: str = DEFAULT) -> NDArray[np.float64]:
    """A named score of all cells, ``(15625,)`` in NATS order (read-only), with the distribution of p.

    Raises
    ------
    ValueError
        For an unknown score or data set.
    TableMissing
        If there is no table for this data set; the message names the command that computes it.
    """
    terms = {term: stored_term(term, dataset) for term in definition(name).terms}
    if name == DEFAULT:
        values = freerea_score(**terms)
    else:
        values = as_quantiles(log_rank_sum(list(terms.values())), stored_score(dataset))
    values.setflags(write=False)
    return values


def log_rank_sum(terms: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """``Σ log(rank / n)`` of terms ``(n,)``; in each, the largest value has rank n, and equal values their mean rank.

    >>> log_rank_sum([[1.0, 5.0], [2.0, 2.0]]).round(3)  # log ½ + log ¾, log 1 + log ¾
    array([-0.981, -0.288])
    """
    with needs("scipy"):
        from scipy.stats import rankdata
    ranks = np.stack([rankdata(term) for term in terms])
    total: NDArray[np.float64] = np.log(ranks / ranks.shape[1]).sum(axis=0)
    return total


def as_quantiles(values: ArrayLike, distribution: ArrayLike) -> NDArray[np.float64]:
    """Values ``(n,)`` mapped to a distribution ``(n,)`` in their order: the largest one becomes its maximum.

    Equal values stay equal.

    >>> as_quantiles([10.0, -5.0, 7.0], [0.1, 0.2, 0.6])
    array([0.6, 0.1, 0.2])
    """
    with needs("scipy"):
        from scipy.stats import rankdata
    ordered = np.sort(np.asarray(distribution, dtype=np.float64))
    return np.interp(rankdata(values) - 1, np.arange(len(ordered)), ordered)


def score_of(terms: dict[str, NDArray[np.float64]], dataset: str, name: str) -> NDArray[np.float64]:
    """A named score of a few cells from their terms, ``(n,)`` each, relative to the stored tables.

    Raises
    ------
    ValueError
        For an unknown score.
    """
    wanted = definition(name).terms
    if name == DEFAULT:
        scaled = []
        for term in wanted:
            low, high = (edge(stored_term(term, dataset)) for edge in (np.min, np.max))
            scaled.append((terms[term] - low) / (high - low))
        return np.mean(scaled, axis=0)
    stored = [stored_term(term, dataset) for term in wanted]
    sums = sum(np.log(_rank_among(terms[term], of) / space.N_ARCHS) for term, of in zip(wanted, stored, strict=True))
    place = _rank_among(sums, log_rank_sum(stored)) - 1
    return np.interp(place, np.arange(space.N_ARCHS), np.sort(stored_score(dataset)))


def _rank_among(values: ArrayLike, stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks, from 1, of values ``(n,)`` among those of all cells; values within rounding of stored ones are equal."""
    ordered, margin = np.sort(stored), 1e-5 * np.abs(np.asarray(values))
    low = np.searchsorted(ordered, values - margin, side="left")
    high = np.searchsorted(ordered, values + margin, side="right")
    return np.maximum((low + high + 1) / 2, 1.0)


def checked(score: ArrayLike) -> NDArray[np.float64]:
    """A score that a user passes as an array: ``(15625,)`` finite numbers that are not all equal.

    Raises
    ------
    ValueError
        For anything else, with the reason in one sentence.
    """
    try:
        values = np.asarray(score, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a score is an array of numbers, one per cell: {error}") from error
    if values.shape != (space.N_ARCHS,):
        raise ValueError(
            f"a score has one number for each of the {space.N_ARCHS:,} cells, in NATS order; got an array of shape "
            f"{values.shape}"
        )
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise ValueError(
            f"a score is finite for every cell: {len(wrong)} of {len(values):,} values are NaN or infinite, the first "
            f"one for cell {wrong[0]}"
        )
    if np.ptp(values) == 0:
        raise ValueError(f"a score tells cells apart, but every cell has {values[0]:g}")
    return values
