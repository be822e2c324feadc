"""What the explorer shows, as the text that a link carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from simmore import space
from simmore.explorer.panel import SLIDERS, UPLOAD, DevicePanel, milliseconds, slider_device

if TYPE_CHECKING:
    from simmore.explorer.app import Explorer

MOST_CHARACTERS = 2000


def to_text(explorer: Explorer) -> str:
    """The devices, the settings and the search that an explorer shows; of an uploaded table only that there is one."""
    fields = {
        "x": explorer.x_axis.value,
        "y": explorer.y_axis.value,
        "score": explorer.shared.scores.value,
        "strategy": explorer.strategy.value,
        "budget": explorer.budget.value,
        "seed": explorer.seed.value,
    }
    for panel, letter in zip(explorer.shown, "AB", strict=False):
        if panel.choice.value == SLIDERS:
            fields[f"device{letter}"] = " ".join(f"{value:.6g}" for value in panel.sliders.values)
        else:
            fields[f"device{letter}"] = panel.choice.value
        if panel.max_latency_ms is not None:
            fields[f"limit{letter}"] = f"{panel.max_latency_ms:.6g}"
    if explorer.selected >= 0:
        fields["cell"] = explorer.selected
    if explorer.traces:
        fields["search"] = explorer.traces[0].archs[0]
    return urlencode(fields)


def show(explorer: Explorer, text: str) -> None:
    """Make an explorer show what a link carries.

    Raises
    ------
    ValueError
        For a text that is no such state. The message names the field. What comes before it is shown.
    """
    fields = dict(parse_qsl(text[:MOST_CHARACTERS]))
    explorer.compare.value = "deviceB" in fields
    for name, value in fields.items():
        setter = _SETTERS.get(name)
        if setter is None:
            raise ValueError(f"the link has {name[:20]!r}, which the explorer does not know")
        try:
            setter(explorer, value)
        except Exception as error:
            raise ValueError(f"the link has {name}={value[:40]}, which the explorer cannot show: {error}") from error
    if "search" in fields:
        explorer.search()


def _device(k: int) -> Callable[[Explorer, str], None]:
    def set_device(explorer: Explorer, value: str) -> None:
        panel: DevicePanel = explorer.devices[k]
        if " " in value:
            panel.show(slider_device([milliseconds(each) for each in value.split(" ")]))
        elif value == UPLOAD:
            raise ValueError("a link carries no table, so upload it again")
        elif value not in {name for _, name in panel.choice.options}:
            raise ValueError("there is no such device")
        else:
            panel.choice.value = value

    return set_device


def _limit(k: int) -> Callable[[Explorer, str], None]:
    def set_limit(explorer: Explorer, value: str) -> None:
        panel = explorer.devices[k]
        panel.limit_ms.value = milliseconds(value)
        panel.limited.value = True

    return set_limit


def _cell(explorer: Explorer, value: str) -> None:
    explorer.cell_pointed_at("selected", space.to_arch(value))


def _score(explorer: Explorer, value: str) -> None:
    explorer.shared.scores.value = value


def _widget(name: str, read: Callable[[str], Any]) -> Callable[[Explorer, str], None]:
    def set_value(explorer: Explorer, value: str) -> None:
        getattr(explorer, name).value = read(value)

    return set_value


_SETTERS: dict[str, Callable[[Explorer, str], None]] = {
    "x": _widget("x_axis", str),
    "y": _widget("y_axis", str),
    "score": _score,
    "strategy": _widget("strategy", str),
    "budget": _widget("budget", int),
    "seed": _widget("seed", int),
    "deviceA": _device(0),
    "deviceB": _device(1),
    "limitA": _limit(0),
    "limitB": _limit(1),
    "cell": _cell,
    "search": _widget("start", lambda text: str(space.to_arch(text))),
}
