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
from simmore.explorer import state, view
from simmore.explorer.model import Trace, trace
from simmore.explorer.panel import PRESETS, X_AXES, Y_AXES, DevicePanel, Refusals, Shared, html, labelled, row
from simmore.explorer.suggest import SuggestBox, Suggestion, suggest
from simmore.explorer.terms import TOUR, glossary
from simmore.explorer.widgets import Files, Link, Player, Tour
from simmore.strategies import BEST, BUDGET, STRATEGIES, Problem

SEARCH, SUGGEST = "search", "suggest"
_BEFORE = (
    "Press Search: the strategy measures one cell per step, up to the budget, and recommends one of them. The steps "
    "play by themselves, with the regret after each."
)


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
        self._removed = ""  # why the last search is not shown any more
        self._suggested_for: object = None  # the settings of the suggestion shown
        self._make_controls()
        self._make_search()
        self._arrange()
        self._observe()
        self.seed.value = seed
        self.draw_step()
        self.describe()
        self.explain()
        self.remember()

    # making

    def _make_controls(self) -> None:
        self.x_axis = labelled(
            widgets.Dropdown, "horizontal", "what the horizontal axis shows", options=list(X_AXES.items())
        )
        self.y_axis = labelled(
            widgets.Dropdown, "vertical", "what the vertical axis shows", options=list(Y_AXES.items())
        )
        self.compare = widgets.Checkbox(
            description="compare two devices", indent=False, tooltip="show a second device beside the first",
            layout=widgets.Layout(width="165px"),
        )  # fmt: skip
        self.cell = labelled(
            widgets.Text, "show cell", "NATS index, six digits or string of a cell", "250px",
            placeholder="index, digits or string", continuous_update=False,
        )  # fmt: skip
        self.downloads = Files(
            downloads={
                "csv": self.trajectory_csv,
                "png": lambda: self.picture("png"),
                "svg": lambda: self.picture("svg"),
            },
            titles={"csv": "the search's steps", "png": "the planes as a picture", "svg": "the planes as a drawing"},
        )
        fitting = widgets.Layout(width="auto")
        self.presets = [
            widgets.Button(description=name, tooltip=what, layout=fitting) for name, (what, _) in PRESETS.items()
        ]
        self.link, self.tour = Link(), Tour(steps=TOUR)
        self.card = html()

    def _make_search(self) -> None:
        self.mode = widgets.RadioButtons(
            options=[("search the device shown", SEARCH), ("I measure my own device", SUGGEST)],
            orientation="horizontal", tooltip="", layout=widgets.Layout(width="auto", margin="0"),
        )  # fmt: skip
        self.strategy = labelled(
            widgets.Dropdown, "strategy", STRATEGIES[BEST].description,
            options=sorted(STRATEGIES, key=lambda name: name != BEST),
        )  # fmt: skip
        self.start = labelled(
            widgets.Text, "start", "index, six digits or string of the first cell", "140px",
            placeholder="random", continuous_update=False,
        )  # fmt: skip
        self.from_selected = widgets.Button(
            description="use shown cell", tooltip="start from the cell that the card shows",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self.budget = labelled(
            widgets.BoundedIntText, "budget", "distinct cells to measure, the start included", "104px",
            value=BUDGET, min=1, max=50,
        )  # fmt: skip
        self.seed = labelled(
            widgets.BoundedIntText, "seed", "the same seed, start and device give the same search", "84px",
            value=0, min=0, max=2**31,
        )  # fmt: skip
        self.go = widgets.Button(
            description="Search", button_style="primary", tooltip="search all devices shown, from one start",
            layout=widgets.Layout(width="84px"),
        )  # fmt: skip
        self.player = Player()
        self.chart, self.beliefs = html(), html()
        self.suggest_box = SuggestBox(self.shared, self._suggest)

    def _suggest(self, text: str) -> Suggestion:
        """The next cell for the user's own device, by the search's controls, the score and the limit of device A."""
        score, limit, strategy, start, seed = self._suggested_for = self._suggest_settings()
        found = suggest(text, Problem.of(score=score, max_latency_ms=limit), strategy, start=start, seed=seed)
        if found.next is not None:
            self.cell_pointed_at("selected", found.next)
        return found

    def _suggest_settings(self) -> tuple[str, float | None, str, str, int]:
        """What a suggestion depends on, apart from the measurements."""
        limit, start = self.devices[0].max_latency_ms, self.start.value.strip()
        return self.shared.scores.value, limit, self.strategy.value, start, self.seed.value

    def _suggest_again(self) -> None:
        """Refresh the suggestion if it was made with other settings."""
        if self.mode.value == SUGGEST and self._suggested_for != self._suggest_settings():
            self.suggest_box.refresh()

    def _arrange(self) -> None:
        controls = [self.x_axis, self.y_axis, self.shared.scores, self.compare, *self.presets, self.link, self.tour]
        bar = widgets.HBox(controls, layout=row("2px 10px")).add_class("simmore-box").add_class("simmore-bar")
        above = widgets.HBox([self.cell, self.downloads], layout=row("2px 10px"))
        self._card = widgets.VBox([above, self.card], layout=widgets.Layout(min_width="0"))
        self._card.add_class("simmore-box").add_class("simmore-card")
        self._setup = widgets.HBox(layout=row("2px 6px"))
        self._result = widgets.VBox(layout=widgets.Layout(flex="1 1 320px", min_width="0"))
        controls = widgets.VBox(
            [self.mode, self._setup, self.player], layout=widgets.Layout(flex="1 1 400px", min_width="0")
        )
        self._search = widgets.HBox([controls, self._result], layout=row("2px 16px", align="flex-start"))
        self._search.layout.flex = "0 0 auto"
        self._search.add_class("simmore-box").add_class("simmore-search")
        self._beliefs = widgets.VBox([self.beliefs], layout=widgets.Layout(min_width="0"))
        self._beliefs.add_class("simmore-box")
        self._beside = widgets.VBox(layout=widgets.Layout(min_width="0", grid_gap="8px"))
        self._above = widgets.HBox(layout=row("8px", align="stretch"))
        self._below = widgets.HBox(layout=row("8px", align="stretch"))
        self.glossary = html()
        rows = [self.shared.message, bar, self._above, self._below, self.glossary]
        self.widget = widgets.VBox(rows, layout=widgets.Layout(grid_gap="8px")).add_class("simmore")
        self._panels = [panel.widget for panel in self.devices]
        self._place()
        self._set_mode()

    def _place(self) -> None:
        """One device with search and card beside it, or two side by side with the others below."""
        two = self.compare.value
        self._beside.children = [self._search, self._beliefs if two else self._card]
        self._above.children = self._panels if two else [self._panels[0], self._beside]
        self._beside.layout.flex = "100 1 600px" if two else "1 1 440px"
        self._card.layout.flex = "1 1 300px" if two else "1 0 auto"
        self._beliefs.layout.flex = "1 0 auto" if two else "1 1 300px"
        self._below.children = [self._beside, self._card] if two else [self._beliefs]
        for panel in self.devices:
            panel.plane.height = 205 if two else 430

    def _set_mode(self) -> None:
        """Show what belongs to searching the device shown, or to measuring by hand."""
        searching = self.mode.value == SEARCH
        others = [self.budget, self.seed, self.go] if searching else [self.seed, self.devices[0].limit]
        self._setup.children = [self.strategy, self.start, self.from_selected, *others]
        self._result.children = [self.chart] if searching else [self.suggest_box.widget]
        self._show_player()
        self._suggest_again()

    def _observe(self) -> None:
        for panel in self.devices:
            panel.on_device = self.device_changed
            panel.on_cell = self.cell_pointed_at
            panel.on_limit = self.remember
        for axis in (self.x_axis, self.y_axis):
            axis.observe(lambda _: self.axes_changed(), "value")
        self.compare.observe(lambda _: self.compared(), "value")
        self.cell.observe(lambda _: self.cell_asked_for(), "value")
        for button in self.presets:
            button.on_click(lambda pressed: self.show_preset(pressed.description))
        self.mode.observe(lambda _: self._set_mode(), "value")
        self.from_selected.on_click(lambda _: setattr(self.start, "value", str(self._shown_cell())))
        self.strategy.observe(
            lambda change: setattr(self.strategy, "tooltip", STRATEGIES[change["new"]].description), "value"
        )
        self.shared.scores.observe(lambda _: self.explain(), "value")
        for setting in (self.strategy, self.budget, self.seed):
            setting.observe(lambda _: self.remember(), "value")
        limit = (self.devices[0].limited, self.devices[0].limit_ms)
        for setting in (self.shared.scores, self.strategy, self.start, self.seed, *limit):
            setting.observe(lambda _: self._suggest_again(), "value")
        self.go.on_click(lambda _: self.search())
        self.player.observe(lambda _: self.draw_step(), "seen")
        self.link.observe(lambda change: self.follow(change["new"]), "wanted")

    # reacting

    @property
    def shown(self) -> list[DevicePanel]:
        """The panels on the screen: one or two."""
        return self.devices if self.compare.value else self.devices[:1]

    def device_changed(self) -> None:
        """Another device is shown: clear the search on the old one, and say so."""
        self.forget("The device has changed, so the search on the old one was removed. Press Search to search again.")
        self.describe()

    def show_preset(self, name: str) -> None:
        """Show a device that has something to see, as device A."""
        with Refusals(self.shared):
            PRESETS[name][1](self.devices[0])

    def follow(self, text: str) -> None:
        """Show what a link carries."""
        with Refusals(self.shared):
            state.show(self, text)

    def remember(self) -> None:
        """Put what is shown into the link."""
        self.link.state = state.to_text(self)

    def axes_changed(self) -> None:
        """Draw all planes along the chosen axes."""
        for panel in self.devices:
            panel.draw((self.x_axis.value, self.y_axis.value))
        self.draw_step()
        self.remember()

    def compared(self) -> None:
        """Show one device or two."""
        self._place()
        self.forget("Other devices are shown, so the search was removed. Press Search to search again.")
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
        if trait == "selected":
            self.remember()
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

    def explain(self) -> None:
        """Fill the glossary: some meanings depend on the chosen score."""
        self.glossary.value = glossary(self.shared.scores.value)

    # searching

    def search(self) -> None:
        """Search all devices shown from one start, and play the steps."""
        self.mode.value = SEARCH
        self.go.description = "Searching…"  # not disabled: the keyboard's focus stays on it
        try:
            with Refusals(self.shared):
                self._search_from(self._start())
        finally:
            self.go.description = "Search"

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
        self.player.start(max(map(len, self.traces)) - 1)
        self.draw_step()
        self.remember()

    def forget(self, why: str = "") -> None:
        """Remove the search from the screen. Where there was one, a note says why."""
        self._removed = why if self.traces else self._removed * bool(why)
        self.traces = []
        self.player.start(0)
        self.draw_step()
        self.remember()

    def _show_player(self) -> None:
        self.player.layout.display = "" if self.traces and self.mode.value == SEARCH else "none"

    def draw_step(self) -> None:
        """Show the search up to the chosen step, with the belief after it."""
        step = self.player.step
        self._show_player()
        self._beliefs.layout.display = "" if self.traces else "none"
        if not self.traces:
            for panel in self.devices:
                panel.plane.trail, panel.plane.recommended = [], -1
            self.chart.value = view.note(self._removed or _BEFORE)
            self.beliefs.value = ""
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
            steps.insert(3, "arch_str", [space.to_string(arch) for arch in steps["arch"]])
            n = steps["n_measured"] - 1  # a cell that is visited again changes no regret
            regrets = {"inference_regret": each.inference_regret[n], "simple_regret": each.simple_regret[n]}
            parts.append(steps.assign(**regrets))
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
