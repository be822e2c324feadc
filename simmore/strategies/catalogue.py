"""All search strategies by name, each with its recommendation rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from simmore.models.knowledge import Knowledge
from simmore.models.prior import Prior
from simmore.rl import context, policy
from simmore.strategies.baselines import FixedCell, LutSearch, MeanDevice, RandomSearch
from simmore.strategies.bound import ConfidenceBound
from simmore.strategies.evolution import Evolution, LocalSearch
from simmore.strategies.follow import FollowPolicy
from simmore.strategies.improvement import ExpectedImprovement
from simmore.strategies.in_context import InContext, LearnedRecommendation
from simmore.strategies.problem import Problem
from simmore.strategies.recommendation import ExpectedRange, MeasuredRange, Rule
from simmore.strategies.strategy import Strategy

NOTHING, OPERATIONS, SIMULATED, TABLES = "nothing", "operation latencies", "simulated devices", "tables"
"""What a strategy knows of other devices: nothing, the paper's Ξ, simulated devices, or these and measured tables."""


@dataclass(frozen=True)
class Entry:
    """A strategy of the catalogue.

    Attributes
    ----------
    knows
        What it knows of other devices: `NOTHING`, `OPERATIONS`, `SIMULATED` or `TABLES`. The recommendation rule knows
        the same.
    make
        Makes the strategy for a problem.
    description
        One line for users.
    policies
        Names of the trained policies that it uses.
    rule
        Makes its recommendation rule; the function `rule` does if None.
    """

    knows: str
    make: Callable[[Problem, Knowledge], Strategy]
    description: str
    policies: tuple[str, ...] = ()
    rule: Callable[[], Rule] | None = None


def _policy(name: str, description: str, *, blind: bool = False) -> Entry:
    return Entry(OPERATIONS, lambda problem, known: FollowPolicy(policy.load(name), blind=blind), description, (name,))


def _controller(name: str, description: str, *, ppo: bool = True, sees: bool = True) -> Entry:
    def network() -> context.ContextNetwork:
        return context.load(name) if ppo else context.load_supervised(name)

    # the posterior recommends better than the network's own heads: notebook 09 compares them
    own = None if sees else lambda: LearnedRecommendation(network())
    return Entry(SIMULATED, lambda problem, known: InContext(problem, network()), description, (name,), own)


STRATEGIES: dict[str, Entry] = {
    "random": Entry(NOTHING, lambda problem, known: RandomSearch(problem), "distinct cells drawn uniformly"),
    "local_search": Entry(
        TABLES,
        lambda problem, known: LocalSearch(problem, known.mean_device),
        "move to the first better neighbour",
    ),
    "regularised_evolution": Entry(
        TABLES,
        lambda problem, known: Evolution(problem, known.mean_device, crossover=False),
        "mutate the winner of a tournament (Real et al. 2019)",
    ),
    "freerea": Entry(
        TABLES,
        lambda problem, known: Evolution(problem, known.mean_device, crossover=True),
        "mutants and a crossover of a tournament's two best (Cavagnero et al. 2023)",
    ),
    "mean_device": Entry(
        TABLES,
        lambda problem, known: MeanDevice(problem, known.mean_device),
        "the best cell of the mean known device",
    ),
    "fixed_cell": Entry(
        TABLES,
        lambda problem, known: FixedCell(problem, known.tables),
        "the cell with the lowest mean regret on simulated and known devices",
    ),
    "lut": Entry(
        NOTHING,
        lambda problem, known: LutSearch(problem),
        "a lookup table from the five single-operation cells, then its best cell",
    ),
    "lut_evolution": Entry(
        NOTHING,
        lambda problem, known: LutSearch(problem, evolve=True),
        "a lookup table, then the best cells of an evolution on it",
    ),
    "linear_greedy": Entry(
        OPERATIONS,
        lambda problem, known: ConfidenceBound(problem, known.operations, bound=0.0),
        "Bayesian linear model over operation counts, greedy",
    ),
    "linear_bound": Entry(
        OPERATIONS,
        lambda problem, known: ConfidenceBound(problem, known.operations, bound=1.0),
        "Bayesian linear model over operation counts, confidence bound",
    ),
    "covariance_greedy": Entry(
        TABLES,
        lambda problem, known: ConfidenceBound(problem, known.covariance, bound=0.0),
        "Gaussian model with the covariance of known devices, greedy",
    ),
    "covariance_bound": Entry(
        TABLES,
        lambda problem, known: ConfidenceBound(problem, known.covariance, bound=1.0),
        "Gaussian model with the covariance of known devices, confidence bound",
    ),
    "paper": _policy("paper", "the paper's policy, trained by PPO on synthetic devices"),
    "paper_blind": _policy("paper", "the paper's policy, which is shown the same latency at every step", blind=True),
    "heldout": _policy("heldout", "the paper's policy, trained without HELP's six test devices"),
    "trpo": _policy("trpo", "the paper's policy, trained by TRPO"),
    "a2c": _policy("a2c", "the paper's policy, trained by A2C"),
    "no_history": _policy("no_history", "the paper's policy, which sees the current cell alone"),
    "controller": _controller("controller_0", "a network that is trained on simulated devices chooses the next cell"),
    "controller_supervised": _controller(
        "controller_0", "the same network without PPO: expected improvement under its predictions", ppo=False
    ),
    "controller_blind": _controller(
        "controller_blind",
        "the same network, which sees no latencies in its training, search and recommendation",
        sees=False,
    ),
    "expected_improvement": Entry(
        TABLES,
        lambda problem, known: ExpectedImprovement(problem, known.tables),
        "expected improvement on devices sampled from the posterior",
    ),
}
BEST = "expected_improvement"
_TRAININGS = {"controller": (0, 1, 2), "controller_supervised": (0, 1, 2)}  # seeds of the networks in the package


def training_seeds(name: str) -> tuple[int, ...]:
    """Training seeds of a strategy whose networks are in the package; the plain name means the first one."""
    return _TRAININGS.get(name, (0,))


def entry(name: str) -> Entry:
    """The catalogue's entry of a strategy.

    ``target/<device>`` is the policy that was trained on that device alone; ``controller/1`` is the controller of
    another training seed (`training_seeds`); a ``.safetensors`` file is any policy. ``<name>/blind`` is a control that
    cannot adapt to the device: the search of this policy or controller sees no latencies. The recommendation does.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if name.endswith("/blind"):
        return _blind(entry(name.removesuffix("/blind")))
    if name.startswith("target/"):
        return _policy(f"target_{name.removeprefix('target/')}", "a policy trained on the device itself")
    if name.endswith(".safetensors"):
        return _policy(name, "a policy from a file")
    base, _, seed = name.partition("/")
    if seed in map(str, training_seeds(base)) and base in _TRAININGS:
        return _controller(f"controller_{seed}", STRATEGIES[base].description, ppo=base == "controller")
    if name not in STRATEGIES:
        raise ValueError(f"no strategy {name!r}: choose one of {', '.join(STRATEGIES)}, or a .safetensors policy")
    return STRATEGIES[name]


def _blind(seeing: Entry) -> Entry:
    if not seeing.policies:
        raise ValueError("only a trained policy or controller has a copy that sees no latencies")
    description, (name, *_) = f"{seeing.description}; the search sees no latencies", seeing.policies
    if seeing.knows == OPERATIONS:
        return replace(seeing, make=_policy(name, description, blind=True).make, description=description)
    searching = _controller("controller_blind", description)  # a network of its own, which was trained without them
    return replace(searching, policies=(*seeing.policies, *searching.policies), rule=seeing.rule)


def make(name: str, problem: Problem, known: Knowledge | None = None) -> tuple[Strategy, Rule]:
    """A strategy by its name, and its recommendation rule.

    Parameters
    ----------
    known
        What may be known of other devices; everything on this machine if None.
    """
    known, found = known or Knowledge(), entry(name)
    return found.make(problem, known), rule(found.knows, known) if found.rule is None else found.rule()


def rule(knows: str, known: Knowledge) -> Rule:
    """The recommendation rule for what is known of other devices."""
    return MeasuredRange() if knows == NOTHING else _expected_range(knows, known.without, known.uses_tables)


@cache
def _expected_range(knows: str, without: tuple[str, ...], uses_tables: bool) -> ExpectedRange:
    known = Knowledge(without, tables=uses_tables)
    return ExpectedRange(prior(knows, known))


def prior(knows: str, known: Knowledge) -> Prior:
    """The prior for what is known of other devices."""
    return known.operations if knows == OPERATIONS else known.simulated if knows == SIMULATED else known.tables
