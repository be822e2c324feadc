"""Searching a device that only the user can measure: read typed measurements, and suggest the next cell."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from simmore import data
from simmore.errors import DataError, InputWarning
from simmore.explorer import view
from simmore.explorer.panel import Refusals, Shared, html, labelled, row
from simmore.strategies import BUDGET, Problem, Search, Session

_HEADER = "arch{0}latency_ms"
_FILE = "your measurements"
_HOW = (
    "For a device that only you can measure: press “Next cell”, measure the cell, and add its latency. Or paste all "
    "that you measured. “failed” stands for a cell that did not run."
)
_CLEARED = "The settings have changed, so the suggestion was removed. Press “Next cell” for a new one."


@dataclass(frozen=True)
class Suggestion:
    """What to measure next, and what the measurements say so far.

    Attributes
    ----------
    next
        NATS index of the next cell; None if no other cell is expected to be better.
    found
        The search so far; None if nothing is measured.
    problem
        What is searched for.
    notes
        What was ignored, combined or assumed in the measurements.
    """

    next: int | None
    found: Search | None
    problem: Problem
    notes: tuple[str, ...] = ()


def measurements(text: str) -> tuple[list[tuple[int, float]], tuple[str, ...]]:
    """Read measurements as a CSV (`data.measured_csv`), whose header may be missing.

    Parameters
    ----------
    text
        A row per measurement: a cell and its latency in ms, separated by a comma, semicolon, tab or blanks.

    Returns
    -------
    measured
        ``(arch, latency_ms)`` of each row; infinite where the cell failed.
    notes
        What was ignored, combined or assumed.

    Raises
    ------
    simmore.errors.DataError
        For any other text. The message names the row.

    Examples
    --------
    >>> measurements("1462 3.5")
    ([(1462, 3.5)], ())
    """
    rows = text.strip()
    if not rows:
        return [], ()
    first = rows.splitlines()[0]
    separator = _separator(first)
    if separator == "\t":
        rows = re.sub(r"[ \t]+", "\t", rows)
    headed = "arch" in first.lower()
    content = rows if headed else f"{_HEADER.format(separator)}\n{rows}"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        file = Path(folder) / "measured.csv"
        file.write_text(content, encoding="utf-8")

        def plain(message: object) -> str:
            words = str(message).replace(str(file), _FILE)
            return words if headed else re.sub(r"\brow (\d+)", lambda found: f"row {int(found[1]) - 1}", words)

        try:
            archs, latency_ms = data.measured_csv(file)
        except DataError as error:
            raise DataError(plain(error)) from None
        notes = tuple(plain(each.message) for each in caught if issubclass(each.category, InputWarning))
    return list(zip(archs.tolist(), latency_ms.tolist(), strict=True)), notes


def _separator(first: str) -> str:
    """What separates the columns of a row; a tab for blanks. In ``1462 3,5`` the comma is a decimal comma."""
    if re.search(r"[^\s,;][ \t]+\d+,\d", first):
        return "\t"
    return next((each for each in ";\t," if each in first), "\t")


def suggest(text: str, problem: Problem, strategy: str, *, start: str = "", seed: int = 0) -> Suggestion:
    """The next cell to measure after the measurements in a text, as ``simmore suggest`` gives it.

    Parameters
    ----------
    text
        See `measurements`; empty before the first one.
    problem, strategy, start, seed
        As of `simmore.Session`; `start` is drawn if empty.
    """
    measured, notes = measurements(text)
    budget = max(BUDGET, len({arch for arch, _ in measured}) + 1)
    session = Session(strategy, problem, measured=measured, budget=budget, start=start or None, seed=seed)
    arch = session.ask()
    return Suggestion(arch, Search.of(session) if measured else None, problem, notes)


class SuggestBox:
    """A field for measurements, and the next cell with the recommendation so far.

    Parameters
    ----------
    suggest
        Gives the suggestion for a text of measurements.
    """

    def __init__(self, shared: Shared, suggest: Callable[[str], Suggestion]) -> None:
        self._shared, self._suggest = shared, suggest
        self._next: int | None = None
        self._suggested = False  # whether a suggestion is shown
        self.measured = widgets.Textarea(
            placeholder="arch,latency_ms\n1462,3.52\n421211,failed", rows=6, continuous_update=False,
            description="your measurements: a cell and milliseconds per line", tooltip="",
            layout=widgets.Layout(width="100%"),
        ).add_class("simmore-unlabelled")  # fmt: skip
        self.ask = widgets.Button(
            description="Next cell", button_style="primary", tooltip="the cell to measure after these measurements",
            layout=widgets.Layout(width="96px"),
        )  # fmt: skip
        self.latency = labelled(
            widgets.Text, "its latency", "latency of the suggested cell in ms, or: failed", "150px", placeholder="ms"
        )
        self.add = widgets.Button(
            description="Add",
            tooltip="add this latency, and suggest the next cell",
            layout=widgets.Layout(width="60px"),
        )
        self.result = html(view.note(_HOW))
        self._adding = widgets.HBox([self.latency, self.add], layout=row("2px 8px"))
        self._adding.layout.display = "none"
        self.ask.on_click(lambda _: self.next_cell())
        self.add.on_click(lambda _: self.add_latency())
        self.latency.on_msg(self._entered)
        self.widget = widgets.VBox(
            [self.measured, widgets.HBox([self.ask, self._adding], layout=row("2px 8px")), self.result]
        )

    def _entered(self, _: Any, message: Any, __: Any) -> None:
        """Enter was pressed in the field for the latency."""
        if message.get("event") == "submit":
            self.add_latency()

    def next_cell(self) -> None:
        """Suggest the next cell after the measurements in the field."""
        with Refusals(self._shared):
            found = self._suggest(self.measured.value)
            self._next, self._suggested = found.next, True
            self._adding.layout.display = "none" if found.next is None else ""
            self.result.value = view.suggestion(found)

    def refresh(self) -> None:
        """Suggest again if a suggestion is shown. Without a new one, the old one is cleared."""
        if not self._suggested:
            return
        self._next, self._suggested = None, False
        self._adding.layout.display, self.result.value = "none", view.note(_CLEARED)
        self.next_cell()

    def add_latency(self) -> None:
        """Append the typed latency of the suggested cell to the measurements, and suggest the next one."""
        text = self.latency.value.strip()
        if self._next is None or not text:
            return
        before = self.measured.value.strip() or _HEADER.format(",")
        separator = _separator(before.splitlines()[0])
        decimal = "," if separator != "," and "," in before else "."  # as in the rows before
        line = f"{self._next}{separator}{re.sub('[.,]', decimal, text)}"
        with Refusals(self._shared):
            measurements(f"{before}\n{line}")
            self.measured.value, self.latency.value = f"{before}\n{line}", ""
            self.next_cell()
