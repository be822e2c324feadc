"""The explorer's own widgets: the plane of all cells, five sliders over Ξ, a player, files, a link and a tour.

Their browser side is in ``browser/``. The plane is a canvas of our own because it is faster: in headless Chromium
without a graphics card, on a busy machine with two cores, a redraw of all cells after a slider has moved took 15 to
60 ms. Plotly's scattergl took 0.8 to 4.7 s, bqplot's scatter 2.7 to 10 s.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import ArrayLike

from simmore import space

BROWSER = Path(__file__).parent / "browser"
# of one upload: Jupyter's servers close a connection that sends more than 10 MB at once, and the widest table with all
# cells as strings takes 2 MB
MAX_UPLOAD_BYTES = 8_000_000


class Plane(anywidget.AnyWidget):
    """All cells as points, coloured by reward, with marks on top; reports what is hovered, selected and dragged.

    Attributes
    ----------
    x, y
        float32 ``(cells,)`` as bytes, in the units of the labels.
    shade
        uint8 ``(cells,)`` as bytes: reward, from 0 for the lowest to 255 for the highest of the colour scale.
    front, trail
        NATS indices, in the order in which lines join them.
    optimum, recommended, limit_best, hovered, selected
        NATS indices; −1 for none.
    best_label
        What the legend calls the cell `optimum`.
    limit
        A latency limit in the units of x, or None; `limit_side` is the side beyond it.
    """

    _esm = BROWSER / "plane.js"
    _css = BROWSER / "explorer.css"

    x = traitlets.Bytes().tag(sync=True)
    y = traitlets.Bytes().tag(sync=True)
    shade = traitlets.Bytes().tag(sync=True)
    x_range = traitlets.List([0.0, 1.0]).tag(sync=True)
    y_range = traitlets.List([0.0, 1.0]).tag(sync=True)
    reward_range = traitlets.List([0.0, 2.0]).tag(sync=True)
    x_label = traitlets.Unicode().tag(sync=True)
    y_label = traitlets.Unicode().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(400).tag(sync=True)
    front: Any = traitlets.List().tag(sync=True)
    trail: Any = traitlets.List().tag(sync=True)
    optimum = traitlets.Int(0).tag(sync=True)
    best_label = traitlets.Unicode("best cell h*").tag(sync=True)
    recommended = traitlets.Int(-1).tag(sync=True)
    limit = traitlets.Float(None, allow_none=True).tag(sync=True)
    limit_side = traitlets.Unicode("right").tag(sync=True)
    limit_best = traitlets.Int(-1).tag(sync=True)
    hovered = traitlets.Int(-1, min=-1, max=space.N_ARCHS - 1).tag(sync=True)
    selected = traitlets.Int(-1, min=-1, max=space.N_ARCHS - 1).tag(sync=True)

    def show(self, x: ArrayLike, y: ArrayLike, reward: ArrayLike) -> None:
        """Put all cells at x, y, coloured by reward, ``(cells,)`` each; infinite values and NaN are hidden."""
        reward = np.asarray(reward)
        finite = reward[np.isfinite(reward)]
        low, high = float(finite.min()), float(finite.max())
        shade = np.clip((reward - low) / max(high - low, 1e-12), 0, 1) * 255
        with self.hold_sync():
            self.x, self.y = as_bytes(x), as_bytes(y)
            self.x_range, self.y_range = padded(x), padded(y)
            self.shade = np.nan_to_num(shade).astype(np.uint8).tobytes()
            self.reward_range = [low, high]


class OperationSliders(anywidget.AnyWidget):
    """A slider and a number field per operation, in ms, over Ξ's Gaussian and the measured devices.

    Attributes
    ----------
    values, maxima
        Latency of each operation and right end of its slider, ``(operations,)`` in ms.
    names
        Labels of the operations.
    mean, sd, marks
        Mean and standard deviation of Ξ, ``(operations,)`` in ms, and a list of measured latencies per operation.
    """

    _esm = BROWSER / "sliders.js"

    names: Any = traitlets.List().tag(sync=True)
    mean: Any = traitlets.List().tag(sync=True)
    sd: Any = traitlets.List().tag(sync=True)
    marks: Any = traitlets.List().tag(sync=True)
    values = traitlets.List(traitlets.CFloat(), minlen=5, maxlen=5).tag(sync=True)
    maxima = traitlets.List(traitlets.CFloat(), minlen=5, maxlen=5).tag(sync=True)

    def refresh(self) -> None:
        """Make the fields show `values` again, after another text was typed."""
        self.send({})


class Files(anywidget.AnyWidget):
    """A button that uploads a file to the kernel, and buttons that download files from it.

    Parameters
    ----------
    upload
        Text of the upload button; no button if empty.
    on_upload
        Called with the file's name, its size in bytes, and its content, None if the file is too large.
    downloads
        File ending to a function that makes ``(content, name, media type)`` when its button is pressed.
    titles
        File ending to the hint of its button.
    """

    _esm = BROWSER / "files.js"

    upload = traitlets.Unicode().tag(sync=True)
    downloads: Any = traitlets.List().tag(sync=True)
    titles = traitlets.Dict().tag(sync=True)
    max_bytes = traitlets.Int(MAX_UPLOAD_BYTES).tag(sync=True)

    def __init__(
        self,
        *,
        upload: str = "",
        on_upload: Callable[[str, int, bytes | None], None] | None = None,
        downloads: dict[str, Callable[[], tuple[bytes, str, str]]] | None = None,
        titles: dict[str, str] | None = None,
    ) -> None:
        self._on_upload = on_upload
        self._makers = downloads or {}
        super().__init__(upload=upload, downloads=list(self._makers), titles=titles or {})
        self.on_msg(self._receive)

    def _receive(self, _: Any, message: Any, buffers: list[Any]) -> None:
        """Handle an uploaded file or a pressed button; ignore any other message."""
        if not isinstance(message, dict):
            return
        maker = self._makers.get(str(message.get("kind")))
        if maker is not None:
            made, name, media_type = maker()
            if made:
                self.send({"name": name, "type": media_type}, [made])
        elif self._on_upload is not None and "name" in message:
            content = bytes(buffers[0]) if buffers else None
            size = message.get("bytes")
            self._on_upload(str(message["name"]), size if isinstance(size, int) else len(content or b""), content)


class Player(anywidget.AnyWidget):
    """Plays the steps of a search: buttons and a slider.

    A message from the browser about an earlier search may arrive late. It has no effect, because it names its search.

    Attributes
    ----------
    search, max
        The number of the search, and its last step.
    seen
        The number of a search, the step shown of it, from 0, and whether its steps follow one another, every
        `interval` ms. If it is not the search above, that one is at its first step and plays.
    """

    _esm = BROWSER / "player.js"

    search = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(0).tag(sync=True)
    seen = traitlets.Tuple((0, 0, False)).tag(sync=True)
    interval = traitlets.Int(700).tag(sync=True)

    def start(self, last: int) -> None:
        """Play the steps of a new search from 0 to `last`."""
        with self.hold_sync():
            self.search, self.max = self.search + 1, last

    @property
    def step(self) -> int:
        """The step shown."""
        search, step, _ = self.seen
        return min(step, self.max) if search == self.search else 0

    @property
    def playing(self) -> bool:
        """Whether the steps follow one another."""
        search, _, playing = self.seen
        return playing if search == self.search else self.max > 0

    def show(self, step: int) -> None:
        """Show a step of the search, and stop there."""
        self.seen = (self.search, step, False)


class Link(anywidget.AnyWidget):
    """A button that copies a link to the explorer as it is shown.

    Attributes
    ----------
    state
        What the link carries.
    wanted
        What the link carries with which the page was opened.
    """

    _esm = BROWSER / "link.js"

    state = traitlets.Unicode().tag(sync=True)
    wanted = traitlets.Unicode().tag(sync=True)


class Tour(anywidget.AnyWidget):
    """A guided tour, which a first visit starts with.

    Attributes
    ----------
    steps
        Each with a ``title``, a ``text``, and ``at``, the CSS selector of what it explains.
    """

    _esm = BROWSER / "tour.js"

    steps: Any = traitlets.List().tag(sync=True)


def as_bytes(values: ArrayLike) -> bytes:
    """Values as little-endian float32, as the browser reads them."""
    return np.asarray(values, dtype="<f4").tobytes()


def padded(values: ArrayLike) -> list[float]:
    """Range of an axis: that of the finite values, with a margin."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    low, high = float(finite.min()), float(finite.max())
    margin = 0.03 * (high - low) or 0.5
    return [low - margin, high + margin]
