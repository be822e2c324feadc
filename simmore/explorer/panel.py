"""One device in the explorer: its choice, its sliders, its latency limit and its plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from simmore import data, devices, proxies, space
from simmore.api import evaluated_names
from simmore.errors import TableMissing
from simmore.explorer import view
from simmore.explorer.model import Profile, uploaded
from simmore.explorer.widgets import MAX_UPLOAD_BYTES, Files, OperationSliders, Plane
from simmore.plots.labels import OPERATION_LABELS
from simmore.strategies.recommendation import best_within
from simmore.strategies.session import pareto_front

SLIDERS, UPLOAD = "sliders", "upload"  # devices that have no stored table
POOL = 4  # among the operations
X_AXES = {"latency (ms)": "latency", "ℓ̄ (1: fastest)": "inverse"}
Y_AXES = {"score": "score"} | {f"{label} accuracy (%)": name for name, label in view.DATASET_LABELS.items()}
_EXPECTED = (ValueError, LookupError, ImportError, OSError)  # their messages are written for users


class Shared:
    """What all parts of one explorer share: the tables, loaded once, and the message line."""

    def __init__(self) -> None:
        self.scores = labelled(
            widgets.Dropdown, "score", "the training-free score that cells are searched by",
            options=[(score.label, name) for name, score in proxies.SCORES.items()],
        )  # fmt: skip
        self.synthetic = devices.SyntheticDevices.fit()
        self.measured = data.device_operations()[list(space.OPERATIONS)]
        self.rng = np.random.default_rng()
        self.message = html()
        self.message.layout.display = "none"

    def profile(self, device: devices.Device) -> Profile:
        """All cells on a device, with the chosen score."""
        name = self.scores.value
        return Profile(device, proxies.stored_score("cifar10", name), proxies.SCORES[name].label)

    def tell(self, message: object = "") -> None:
        """Show why an input was refused; without a message, clear the line."""
        self.message.value = view.error(str(message))
        self.message.layout.display = "" if self.message.value else "none"


class DevicePanel:
    """One device: its choice, its five sliders, its latency limit, and its plane.

    Attributes
    ----------
    profile
        The device shown, with all its cells.
    limit
        The controls of the latency limit.
    on_device, on_cell, on_limit
        Called when another device is shown, when a cell is hovered or selected (with the plane's trait), and when the
        limit has changed.
    """

    def __init__(self, shared: Shared, name: str, title: str) -> None:
        self.shared = shared
        self.on_device: Callable[[], None] = lambda: None
        self.on_cell: Callable[[str, int], None] = lambda trait, arch: None
        self.on_limit: Callable[[], None] = lambda: None
        self._upload: devices.TableDevice | None = None
        self._quiet = False  # while this code, not the user, sets widgets
        self._axes = ("latency", "score")
        self.choice = labelled(
            widgets.Dropdown, title, "a stored device, the sliders, or a table", options=self._options(), value=name
        )
        self.dice = widgets.Button(
            description="⚄ random", tooltip="draw a new synthetic device from Ξ", layout=widgets.Layout(width="88px")
        )
        self.files = Files(upload="Upload CSV…", on_upload=self.upload)
        self.limited = widgets.Checkbox(
            description="limit", indent=False, tooltip="search within a limit", layout=widgets.Layout(width="52px")
        )
        self.limit_ms = widgets.FloatText(
            description="latency limit in ms", step=0.5, tooltip="", layout=widgets.Layout(width="66px"), disabled=True
        ).add_class("simmore-unlabelled")
        self.limit = widgets.HBox([self.limited, self.limit_ms, html("ms")], layout=row("0"))
        self.sliders = self._make_sliders()
        self.plane = Plane()
        self.show(self._named(name))
        self._observe()

    @staticmethod
    def _options() -> list[tuple[str, str]]:
        """Menu of devices: label and name."""
        tables = [(name, name) for name in ("nats_gpu", *data.BENCHMARKED, *data.MEASURED)]
        lut = [("edgegpu (additive)", "edgegpu_lut")]  # its table is only in HW-NAS-Bench's own file
        return [("mean device", "mean"), ("five sliders", SLIDERS), *tables, *lut, ("own table (CSV)", UPLOAD)]

    def _make_sliders(self) -> OperationSliders:
        mean, sd = self.shared.synthetic.mean_ms, self.shared.synthetic.sd_ms
        marks = self.shared.measured.to_numpy().T  # (5, devices)
        self._usual_maxima = np.maximum(mean + 3.5 * sd, 1.05 * marks.max(axis=1))
        return OperationSliders(
            names=list(OPERATION_LABELS), mean=mean.tolist(), sd=sd.tolist(), marks=marks.tolist(),
            values=mean.tolist(), maxima=self._usual_maxima.tolist(),
        )  # fmt: skip

    def _observe(self) -> None:
        self.choice.observe(lambda _: self.choose(), "value")
        self.dice.on_click(lambda _: self.roll())
        self.sliders.observe(lambda _: self.slide(), "values")
        self.sliders.on_msg(self._typed)
        self.shared.scores.observe(lambda _: self.rescored(), "value")
        self.limited.observe(lambda _: self.draw_limit(), "value")
        self.limit_ms.observe(lambda _: self.draw_limit(), "value")
        self.plane.observe(self._limit_dragged, "limit")
        for trait in ("hovered", "selected"):
            self.plane.observe(lambda change: self.on_cell(change["name"], change["new"]), trait)

    @property
    def widget(self) -> widgets.Widget:
        """The panel, to be displayed."""
        chooser = widgets.HBox([self.choice, self.dice, self.files, self.limit], layout=row("2px 6px"))
        box = widgets.VBox(
            [chooser, self.sliders, self.plane], layout=widgets.Layout(flex="100 1 590px", min_width="0")
        )
        return box.add_class("simmore-box")

    # what the user does

    def choose(self) -> None:
        """Show the device chosen in the menu."""
        if self._quiet:
            return
        with Refusals(self.shared):
            self.show(self._named(self.choice.value))

    def rescored(self) -> None:
        """Show the same device with the chosen score."""
        with Refusals(self.shared):
            self.show(self.profile.device, moved=True)

    def _named(self, name: str) -> devices.Device:
        if name == SLIDERS:
            return devices.AdditiveDevice(SLIDERS, np.array(self.sliders.values))
        if name == UPLOAD:
            if self._upload is None:
                raise ValueError("no table is uploaded yet: press “Upload CSV…” and give arch,latency_ms")
            return self._upload
        try:
            return devices.load(name)
        except TableMissing as missing:
            if name not in devices.PAPER_DEVICES:
                raise
            self.shared.tell(f"{missing} Shown instead: the device as the sum of its operations.")
            return devices.load(f"{name}_lut")

    def stored(self, name: str) -> None:
        """Show a device of the menu by its name."""
        self.show(self._named(name))

    def roll(self) -> None:
        """Show a new device drawn from Ξ."""
        with Refusals(self.shared):
            self.show(self.shared.synthetic.device(self.shared.rng, SLIDERS))

    def slide(self) -> None:
        """Show the device that the sliders define."""
        if self._quiet:
            return
        with Refusals(self.shared):
            self.show(slider_device(self.sliders.values), moved=True)

    def _typed(self, _: Any, message: Any, __: Any) -> None:
        """A latency was typed beside a slider."""
        with Refusals(self.shared):
            try:
                values = list(self.sliders.values)
                values[int(message["operation"])] = milliseconds(str(message["text"]))
                self.show(slider_device(values))
            finally:
                self.sliders.refresh()  # the field shows the value in use, whatever was typed

    def upload(self, name: str, size: int, content: bytes | None) -> None:
        """Show the device of an uploaded table."""
        with Refusals(self.shared):
            if content is None or len(content) > MAX_UPLOAD_BYTES:
                raise ValueError(
                    f"{name} has {size / 1e6:.1f} MB, more than {MAX_UPLOAD_BYTES // 10**6} MB: give a CSV with the "
                    f"columns arch,latency_ms alone, a row a cell; all {space.N_ARCHS:,} cells take under 2 MB"
                )
            self._upload = uploaded(name, content)
            self.show(self._upload)

    def _limit_dragged(self, change: dict[str, Any]) -> None:
        """The line was dragged in the plane, in the units of its x axis."""
        limit = change["new"]
        if self._quiet or limit is None:
            return
        if self._axes[0] == "inverse":  # ℓ̄ is linear in the latency, from 0, the slowest cell, to 1, the fastest
            limit = np.interp(limit, (0, 1), self.profile.range_ms[::-1])
        self.limit_ms.value = float(f"{max(limit, 0):.4g}")

    # what is shown

    def show(self, device: devices.Device, *, moved: bool = False) -> None:
        """Show a device: its cells in the plane and, unless the sliders were `moved`, its operations on them."""
        self.profile = self.shared.profile(device)  # raises before anything is changed
        self._quiet = True
        try:
            if not moved:
                operation_ms = self.profile.operation_ms
                operation_ms = np.where(np.isfinite(operation_ms), operation_ms, self._usual_maxima)
                maxima = np.maximum(self._usual_maxima, 1.1 * operation_ms).tolist()
                with self.sliders.hold_sync():
                    self.sliders.maxima, self.sliders.values = maxima, operation_ms.tolist()
            self.choice.value = UPLOAD if device is self._upload else self._in_menu(device.name)
        finally:
            self._quiet = False
        self.draw()
        self.on_device()

    def _in_menu(self, name: str) -> str:
        """The menu's name of a device. A sum of operations shown in place of a table has the table's name."""
        names = {value for _, value in self.choice.options}
        return name if name in names else name.removesuffix("_lut")

    def draw(self, axes: tuple[str, str] | None = None) -> None:
        """Redraw the plane, with other axes if given (values of `X_AXES` and `Y_AXES`)."""
        self._axes = axes or self._axes
        profile, plane = self.profile, self.plane
        with plane.hold_sync():
            plane.show(self.x, self.y, profile.reward)
            plane.front = self.front.tolist()
            plane.optimum = profile.optimum
            plane.trail, plane.recommended = [], -1
            plane.x_label = next(label for label, axis in X_AXES.items() if axis == self._axes[0])
            label = next(label for label, axis in Y_AXES.items() if axis == self._axes[1])
            plane.y_label = f"score {profile.label}" if self._axes[1] == "score" else label
            plane.description = (
                f"All {space.N_ARCHS:,} cells on {profile.device.name}: {plane.y_label} against {plane.x_label}. "
                f"The best cell is {profile.optimum}. Arrow keys move from cell to cell, Home to the best."
            )
            self.draw_limit()

    @property
    def x(self) -> NDArray[np.float64]:
        """Horizontal position of the cells, ``(cells,)``."""
        return self.profile.latency_ms if self._axes[0] == "latency" else self.profile.inverse_latency

    @property
    def y(self) -> NDArray[np.float64]:
        """Vertical position of the cells, ``(cells,)``."""
        return self.profile.score if self._axes[1] == "score" else data.accuracy(self._axes[1])

    @property
    def front(self) -> NDArray[np.int64]:
        """The Pareto front of low latency and a high vertical position."""
        return pareto_front(self.profile.latency_ms, self.y)

    @property
    def max_latency_ms(self) -> float | None:
        """The latency limit in ms, or None."""
        return self.limit_ms.value if self.limited.value else None

    @property
    def without(self) -> tuple[str, ...]:
        """Devices that a search must not know: a stored device itself, as in `simmore.search`."""
        return () if self.choice.value in (SLIDERS, UPLOAD) else evaluated_names(self.choice.value)

    def draw_limit(self) -> None:
        """Draw the latency limit, and the highest cell within it."""
        self._quiet = True
        try:
            self.limit_ms.disabled = not self.limited.value
            if not self.limited.value:
                self.plane.limit, self.plane.limit_best = None, -1
                self.on_limit()
                return
            profile, by_latency = self.profile, self._axes[0] == "latency"
            if self.limit_ms.value <= 0:
                self.limit_ms.value = float(f"{np.nanmedian(profile.latency_ms):.3g}")
            limit = self.limit_ms.value
            best = best_within(self.y, profile.latency_ms, limit)
            with self.plane.hold_sync():
                self.plane.limit = limit if by_latency else float(devices.inverse_latency(limit, profile.range_ms))
                self.plane.limit_side = "right" if by_latency else "left"
                self.plane.limit_best = -1 if best is None else best
            self.on_limit()
        finally:
            self._quiet = False


class Refusals:
    """Clears the message; shows an error inside the block as the message instead of raising it."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def __enter__(self) -> None:
        self._shared.tell()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> bool:
        if not isinstance(error, _EXPECTED):
            return False
        self._shared.tell(error)
        return True


def _slow_pooling(panel: DevicePanel) -> None:
    operation_ms = panel.shared.synthetic.mean_ms.copy()
    operation_ms[POOL] *= 6
    panel.show(slider_device(operation_ms))


PRESETS: dict[str, tuple[str, Callable[[DevicePanel], None]]] = {
    "a phone": ("the measured latencies of a Pixel 3", lambda panel: panel.stored("pixel3")),
    "a GPU at batch 1": (
        "the measured latencies of a Titan RTX: all operations take nearly the same",
        lambda panel: panel.stored("titan_rtx_1"),
    ),
    "pooling is slow": ("the mean device, with pooling six times as slow", _slow_pooling),
}
"""Devices that show something: a hint, and what shows them in a panel."""


def slider_device(values: Any) -> devices.AdditiveDevice:
    """The device with these five operation latencies in ms.

    Raises
    ------
    ValueError
        If one is not positive. The message names it.
    """
    operation_ms = np.asarray(values, dtype=np.float64)
    wrong = [OPERATION_LABELS[k] for k in np.flatnonzero(~(operation_ms > 0))]
    if wrong:
        raise ValueError(
            f"{' and '.join(wrong)}: a latency of 0 ms is not possible; the plane still shows the previous device. "
            "Move the slider to the right"
        )
    return devices.AdditiveDevice(SLIDERS, operation_ms)


def milliseconds(text: str) -> float:
    """The latency in a text.

    Raises
    ------
    ValueError
        If it is not a positive finite number.
    """
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        value = float("nan")
    if not (np.isfinite(value) and 0 < value < 1e6):
        raise ValueError(f"{text[:40]!r} is not a latency: give a positive number of milliseconds, such as 2.5")
    return value


def labelled(kind: Any, label: str, hint: str, width: str = "auto", **options: Any) -> Any:
    """A widget with a label before it, as wide as both need, and a hint."""
    style = {"description_width": "initial"}
    return kind(description=label, tooltip=hint, style=style, layout=widgets.Layout(width=width), **options)


def html(value: str = "") -> widgets.HTML:
    """Text without a hint: an empty one, because None is shown as “null”."""
    return widgets.HTML(value, tooltip="", layout=widgets.Layout(width="auto"))


def row(gap: str, align: str = "center") -> widgets.Layout:
    """Side by side; below one another where there is no room."""
    return widgets.Layout(flex_flow="row wrap", grid_gap=gap, align_items=align)
