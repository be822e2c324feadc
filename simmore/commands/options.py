"""Options that several commands share, and the values that they accept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

_MAX_SEED = 2**32 - 1  # limit of numpy's global generator, which stable-baselines3 seeds
_MAX_SECONDS = 86_400  # a day
_MOST_CORES = 4_096  # of a machine

Number = TypeVar("Number", int, float)


def checked(expected: str, holds: Callable[[Number], bool]) -> Callable[[Number], Number]:
    """Callback of an option that refuses wrong values. Its message names the value, unlike those of typer's ranges.

    Parameters
    ----------
    expected
        Description of a right value, as the beginning of a sentence.
    holds
        Whether a value is allowed.
    """

    def check(value: Number) -> Number:
        if not holds(value):
            raise typer.BadParameter(f"{expected}, got {value}")
        return value

    return check


def whole(what: str, low: int, high: int) -> Callable[[int], int]:
    """Callback that allows whole numbers of a range."""
    return checked(f"{what} from {low} to {high}", lambda value: low <= value <= high)


batch_of_images = whole("a batch is a whole number of images", 1, 1_024)
threads = whole("threads are a whole number", 1, 1_024)
time_limit = checked(
    f"a time limit is a positive number of seconds, at most {_MAX_SECONDS} (a day)",
    lambda seconds: 0 < seconds <= _MAX_SECONDS,
)
_latency = checked("a latency limit is a positive number of ms, or 0 for no limit", lambda ms: 0 <= ms < math.inf)
_weight = checked("the weight of latency is a positive number", lambda weight: 0 < weight < math.inf)
_params = checked(
    "a limit of parameters is a positive number of millions, or 0 for no limit", lambda n: 0 <= n < math.inf
)


def _score(name: str) -> str:
    """Refuse a score that has no name here, before any work is done."""
    from simmore.proxies import named

    try:
        named.definition(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return name


Strategy = Annotated[str, typer.Option(help="A name that `simmore strategies` lists, or a .safetensors policy.")]
MaxLatency = Annotated[
    float, typer.Option(help="Latency limit in ms: find the highest score within it. 0: no limit.", callback=_latency)
]
Weight = Annotated[float, typer.Option(help="Weight of latency in the reward.", callback=_weight)]
MaxParams = Annotated[float, typer.Option(help="Limit of parameters in millions; 0: no limit.", callback=_params)]
Dataset = Annotated[str, typer.Option(help="Data set of the score: cifar10, cifar100 or ImageNet16-120.")]
Score = Annotated[
    str, typer.Option(help="freerea (the paper's p), combined (ranks cells best), az or params.", callback=_score)
]
Cores = Annotated[str, typer.Option(help="Cores to measure on, such as 4,5 or 4-7; default: any.")]
Seed = Annotated[
    int,
    typer.Option(help="Seed of all random numbers.", callback=whole("a seed is a whole number", 0, _MAX_SEED)),
]
Top = Annotated[
    int,
    typer.Option(
        help="Number of the best measured cells to list.", callback=whole("the list has a number of cells", 1, 5**6)
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def core_numbers(text: str) -> tuple[int, ...]:
    """Numbers of cores from an option such as ``4,5`` or ``4-7``.

    Raises
    ------
    ValueError
        For any other text.
    """
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        right = first.isdecimal() and (last.isdecimal() or "-" not in part)
        if not right or not int(first) <= int(last or first) < _MOST_CORES:
            raise ValueError(f"--cores takes numbers, such as 4,5 or 4-7, got {text!r}")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)
