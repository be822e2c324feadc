"""Search strategies: the problem, the ask/tell loop, the strategies by name, and the recommendation."""

from simmore.strategies.catalogue import BEST, STRATEGIES, make
from simmore.strategies.problem import History, Problem
from simmore.strategies.recommendation import Recommendation
from simmore.strategies.session import BUDGET, MeasurementFailed, Search, Session, measure, run
from simmore.strategies.strategy import Strategy

__all__ = [
    "BEST",
    "BUDGET",
    "STRATEGIES",
    "History",
    "MeasurementFailed",
    "Problem",
    "Recommendation",
    "Search",
    "Session",
    "Strategy",
    "make",
    "measure",
    "run",
]
