"""The explorer of notebook 08: choose a device, see all its cells, watch a search; in JupyterLab and as an app.

`Explorer` combines two devices (`panel`), a search, and a card with details of one cell. `model` computes, `view` makes
the texts, `widgets` draws in the browser.

>>> from simmore.explorer import Explorer
>>> explorer = Explorer()
>>> explorer.devices[0].choice.value = "nats_gpu"
>>> explorer.search()
>>> explorer.traces[0].found.n_measured <= 10
True
"""

from __future__ import annotations

import ipywidgets as widgets
import numpy as np

from simmore import space
from simmore.explorer import view
from simmore.explorer.model import Trace, trace
from simmore.explorer.panel import X_AXES, Y_AXES, DevicePanel, Refusals, Shared, row
from simmore.explorer.widgets import Files
from simmore.strategies import BEST, BUDGET, STRATEGIES


class Explorer:
    """The whole explorer; `widget` is what a notebook displays.

    Parameters
    ----------
    device, other
        Names of the first device and of the one to compare it with (`simmore.devices.load`).
    seed
        Initial seed of the searches. Random devices and starts are new every time.

    Attributes
    ----------
    devices
        The two `DevicePanel`s.
    traces
        The searches shown, one per device; empty before the first search and after a device has changed.
    """

    def __init__(self, device: str = "mean", other: str = "nats_gpu", *, seed: int = 0) -> None:
        self.shared = Shared()
        self.devices = [
            DevicePanel(self.shared, device, "device A"),
            DevicePanel(self.shared, other, "device B"),
        ]
        self.traces: list[Trace] = []
        self.selected = -1  # the cell on the card while none is hovered; −1: h*
        self._make_controls()
        self._make_search()
        self._arrange()
        self._observe()
        self.seed.value = seed
        self.draw_step()
        self.describe()

    # making

    def _make_controls(self) -> None:
        wide = {"description_width": "initial"}
        self.x_axis = widgets.Dropdown(
            options=list(X_AXES.items()), description="across", style=wide, layout=widgets.Layout(width="190px")
        )
        self.y_axis = widgets.Dropdown(
            options=list(Y_AXES.items()), description="up", style=wide, layout=widgets.Layout(width="230px")
        )
        self.compare = widgets.Checkbox(
            description="compare two devices", indent=False, layout=widgets.Layout(width="165px")
        )
        self.cell = widgets.Text(
            description="show cell", placeholder="index, digits or string", continuous_update=False, style=wide,
            layout=widgets.Layout(width="250px"),
        )  # fmt: skip
        self.downloads = Files(
            downloads={
                "csv": self.trajectory_csv,
                "png": lambda: self.picture("png"),
                "svg": lambda: self.picture("svg"),
            },
            titles={"csv": "the search's steps", "png": "the planes as a picture", "svg": "the planes as a drawing"},
        )
        self.card = widgets.HTML()

    def _make_search(self) -> None:
        narrow = {"description_width": "initial"}
        self.strategy = widgets.Dropdown(
            options=sorted(STRATEGIES, key=lambda name: name != BEST), description="strategy", style=narrow,
            layout=widgets.Layout(width="215px"), tooltip=STRATEGIES[BEST].description,
        )  # fmt: skip
        self.start = widgets.Text(
            value="", placeholder="random", description="start", continuous_update=False, style=narrow,
            layout=widgets.Layout(width="150px"), tooltip="index, six digits or string of the first cell",
        )  # fmt: skip
        self.from_selected = widgets.Button(
            description="from shown cell", tooltip="start from the cell that the card shows",
            layout=widgets.Layout(width="134px"),
        )  # fmt: skip
        self.budget = widgets.BoundedIntText(
            value=BUDGET, min=1, max=50, description="budget", style=narrow,
            layout=widgets.Layout(width="110px"), tooltip="distinct cells to measure, the start included",
        )  # fmt: skip
        self.seed = widgets.BoundedIntText(
            value=0, min=0, max=2**31, description="seed", style=narrow, layout=widgets.Layout(width="100px")
        )
        self.go = widgets.Button(
            description="Search", button_style="primary", tooltip="search all devices shown, from one start",
            layout=widgets.Layout(width="96px"),
        )  # fmt: skip
        self.play = widgets.Play(
            value=0, min=0, max=0, interval=600, show_repeat=False, layout=widgets.Layout(width="auto")
        )
        self.step = widgets.IntSlider(
            value=0, min=0, max=0, description="step", style=narrow, layout=widgets.Layout(width="240px")
        )
        self.back = widgets.Button(description="◀", tooltip="one step back", layout=widgets.Layout(width="36px"))
        self.forth = widgets.Button(description="▶|", tooltip="one step on", layout=widgets.Layout(width="36px"))
        widgets.link((self.play, "value"), (self.step, "value"))
        self.chart = widgets.HTML(layout=widgets.Layout(flex="0 1 340px", min_width="300px"))
        self.beliefs = widgets.HTML(layout=widgets.Layout(flex="1 1 480px", min_width="0"))

    def _arrange(self) -> None:
        controls = [self.x_axis, self.y_axis, self.cell, self.compare, self.downloads]
        bar = widgets.HBox(controls, layout=row("2px 14px")).add_class("simmore-box")
        bar.children = (*bar.children[:2], self.shared.scores, *bar.children[2:])
        self.card.layout = widgets.Layout(width="100%")
        self._card = widgets.Box([self.card], layout=widgets.Layout(flex="1 0 300px"))
        self._card.add_class("simmore-box").add_class("simmore-card")
        setup = [self.strategy, self.start, self.from_selected, self.budget, self.seed, self.go]
        player = [self.play, self.back, self.step, self.forth]
        told = widgets.HBox([self.chart, self.beliefs], layout=row("4px 16px", align="flex-start"))
        parts = [widgets.HBox(setup, layout=row("2px 10px")), widgets.HBox(player, layout=row("2px 6px")), told]
        self._search = widgets.VBox(parts, layout=widgets.Layout(flex="100 1 600px", min_width="0")).add_class(
            "simmore-box"
        )
        self._above = widgets.HBox(layout=row("8px", align="stretch"))
        self._below = widgets.HBox(layout=row("8px", align="stretch"))
        rows = [self.shared.message, bar, self._above, self._below]
        self.widget = widgets.VBox(rows, layout=widgets.Layout(grid_gap="8px")).add_class("simmore")
        self._panels = [panel.widget for panel in self.devices]
        self._place()

    def _place(self) -> None:
        """One device with the card beside it, or two side by side with the card below."""
        two = self.compare.value
        self._above.children = self._panels if two else [self._panels[0], self._card]
        self._below.children = [self._card, self._search] if two else [self._search]
        for panel in self.devices:
            panel.plane.height = 380 if two else 440

    def _observe(self) -> None:
        for panel in self.devices:
            panel.on_device = self.device_changed
            panel.on_cell = self.cell_pointed_at
        for axis in (self.x_axis, self.y_axis):
            axis.observe(lambda _: self.axes_changed(), "value")
        self.compare.observe(lambda _: self.compared(), "value")
        self.cell.observe(lambda _: self.cell_asked_for(), "value")
        self.from_selected.on_click(lambda _: setattr(self.start, "value", str(self._shown_cell())))
        self.strategy.observe(
            lambda change: setattr(self.strategy, "tooltip", STRATEGIES[change["new"]].description), "value"
        )
        self.go.on_click(lambda _: self.search())
        self.step.observe(lambda _: self.draw_step(), "value")
        self.back.on_click(lambda _: self._move(-1))
        self.forth.on_click(lambda _: self._move(1))

    # reacting

    @property
    def shown(self) -> list[DevicePanel]:
        """The panels on the screen: one or two."""
        return self.devices if self.compare.value else self.devices[:1]

    def device_changed(self) -> None:
        """Another device is shown: clear the search on the old one."""
        self.forget()
        self.describe()

    def axes_changed(self) -> None:
        """Draw all planes along the chosen axes."""
        for panel in self.devices:
            panel.draw((self.x_axis.value, self.y_axis.value))
        self.draw_step()

    def compared(self) -> None:
        """Show one device or two."""
        self._place()
        self.forget()
        self.describe()

    def cell_asked_for(self) -> None:
        """Select the typed cell."""
        text = self.cell.value.strip()
        with Refusals(self.shared):
            self.cell_pointed_at("selected", space.to_arch(text) if text else -1)

    def cell_pointed_at(self, trait: str, arch: int) -> None:
        """Show a hovered or selected cell (`trait` says which) on the card and in both planes."""
        if trait == "selected":
            self.selected = arch
        for panel in self.devices:
            setattr(panel.plane, trait, arch)
        self.describe(arch if trait == "hovered" else -1)

    def _shown_cell(self) -> int:
        return self.selected if self.selected >= 0 else self.devices[0].profile.optimum

    def describe(self, hovered: int = -1) -> None:
        """Fill the card with the hovered cell, else the selected one, else h*."""
        profiles = [panel.profile for panel in self.shown]
        if hovered >= 0:
            arch, what = hovered, "Cell under the pointer"
        elif self.selected >= 0:
            arch, what = self.selected, "Selected cell"
        else:
            arch, what = profiles[0].optimum, f"Best cell h* on {profiles[0].device.name[:20]}"
        self.card.value = view.cell_card(arch, what, profiles)

    # searching

    def search(self) -> None:
        """Search all devices shown from one start, and show the first step."""
        self.go.disabled, self.go.description = True, "Searching…"
        try:
            with Refusals(self.shared):
                self._search_from(self._start())
        finally:
            self.go.disabled, self.go.description = False, "Search"

    def _start(self) -> int:
        """The typed start, or a random one, which is then shown in the empty field."""
        text = self.start.value.strip()
        if text:
            return space.to_arch(text)
        on_all = ~np.isnan([panel.profile.latency_ms for panel in self.shown]).any(axis=0)
        start = int(self.shared.rng.choice(np.flatnonzero(on_all)))
        self.start.placeholder = f"random: {start}"
        return start

    def _search_from(self, start: int) -> None:
        """Search all devices shown from one cell."""
        options = {"start": start, "budget": self.budget.value, "seed": self.seed.value}
        self.forget()
        self.traces = [
            trace(
                panel.profile,
                self.strategy.value,
                without=panel.without,
                max_latency_ms=panel.max_latency_ms,
                **options,
            )
            for panel in self.shown
        ]
        self.play.max = self.step.max = max(map(len, self.traces)) - 1
        self.draw_step()

    def forget(self) -> None:
        """Remove the search from the screen."""
        self.traces = []
        self.play.playing = False
        self.step.value = 0
        self.play.max = self.step.max = 0
        self.draw_step()

    def _move(self, by: int) -> None:
        self.step.value = int(np.clip(self.step.value + by, 0, self.step.max))

    def draw_step(self) -> None:
        """Show the search up to the chosen step, with the belief after it."""
        step = self.step.value
        if not self.traces:
            for panel in self.devices:
                panel.plane.trail, panel.plane.recommended = [], -1
            self.chart.value = ""
            self.beliefs.value = view.note(
                "Press Search: the strategy measures one cell per step, up to the budget, and recommends one of them. "
                "Play shows all steps, with what the search estimates at each."
            )
            return
        for panel, each in zip(self.shown, self.traces, strict=True):
            now = min(step, len(each) - 1)
            recommended = each.beliefs[now].recommended
            with panel.plane.hold_sync():
                panel.plane.trail = each.archs[: now + 1]
                panel.plane.recommended = -1 if recommended is None else recommended
        self.chart.value = view.regret_chart(self.traces, step)
        tables = "".join(view.belief(each, step) for each in self.traces)
        self.beliefs.value = f'<div class="simmore-beliefs">{tables}</div>'

    # downloads

    def trajectory_csv(self) -> tuple[bytes, str, str]:
        """The steps of the searches shown: content, file name, media type."""
        import pandas as pd

        if not self.traces:
            self.shared.tell("there is no trajectory yet: press Search first")
            return b"", "", ""
        parts = []
        for each in self.traces:
            steps = each.found.trajectory.copy()
            steps.insert(0, "device", plain(each.profile.device.name))
            steps.insert(3, "arch_str", [space.to_string(arch) for arch in each.archs])
            parts.append(steps.assign(inference_regret=each.inference_regret, simple_regret=each.simple_regret))
        self.shared.tell()
        return pd.concat(parts).to_csv(index=False).encode(), "simmore_trajectory.csv", "text/csv"

    def picture(self, kind: str) -> tuple[bytes, str, str]:
        """The planes as ``png`` or ``svg``: content, file name, media type."""
        from simmore.explorer import picture  # imports matplotlib, which nothing else here needs

        figure = picture.picture(
            [panel.profile for panel in self.shown], self.traces or [None] * len(self.shown),
            [panel.x for panel in self.shown], self.shown[0].y, [panel.front for panel in self.shown],
            (self.shown[0].plane.x_label, self.shown[0].plane.y_label),
        )  # fmt: skip
        media_type = {"png": "image/png", "svg": "image/svg+xml"}[kind]
        return picture.picture_bytes(figure, kind), f"simmore_planes.{kind}", media_type


def plain(name: str) -> str:
    """A name that a spreadsheet does not read as a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name
