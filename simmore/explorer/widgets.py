"""Three small widgets of the explorer's own: the plane of all cells, five sliders over Ξ, and files in and out.

What they look like and do in the browser is in ``simmore/browser/``. The plane is a canvas of our own because it was
measured: a redraw of all cells after a slider has moved took 15 to 60 ms, in headless Chromium with no graphics card on
a busy machine with two cores, where plotly's scattergl took 0.8 to 4.7 s and bqplot's scatter 2.7 to 10 s.
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
# Of one upload. Jupyter's servers close a connection that brings more than 10 MB at once; the widest table with all
# cells as strings takes 2 MB.
MAX_UPLOAD_BYTES = 8_000_000


class Plane(anywidget.AnyWidget):
    """All cells as points, coloured by reward, with marks over them; reports what is hovered, selected and dragged.

    Attributes
    ----------
    x, y
        float32 ``(15625,)`` as bytes, in the units of the labels.
    shade
        uint8 ``(15625,)`` as bytes: reward, 0 the lowest of the colour scale, 255 the highest.
    front, trail
        NATS indices in the order in which they are joined.
    optimum, answer, limit_best, hovered, selected
        NATS indices; −1 for none.
    limit
        A latency limit in the units of x, or None; `limit_side` is the side that is beyond it.
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
    answer = traitlets.Int(-1).tag(sync=True)
    limit = traitlets.Float(None, allow_none=True).tag(sync=True)
    limit_side = traitlets.Unicode("right").tag(sync=True)
    limit_best = traitlets.Int(-1).tag(sync=True)
    hovered = traitlets.Int(-1, min=-1, max=space.N_ARCHS - 1).tag(sync=True)
    selected = traitlets.Int(-1, min=-1, max=space.N_ARCHS - 1).tag(sync=True)

    def show(self, x: ArrayLike, y: ArrayLike, reward: ArrayLike) -> None:
        """Put all cells at x, y ``(15625,)``, coloured by reward ``(15625,)``; what is infinite is not shown."""
        reward = np.asarray(reward)
        finite = reward[np.isfinite(reward)]
        low, high = float(finite.min()), float(finite.max())
        shade = np.clip((reward - low) / max(high - low, 1e-12), 0, 1) * 255
        with self.hold_sync():
            self.x, self.y = as_bytes(x), as_bytes(y)
            self.x_range, self.y_range = padded(x), padded(y)
            self.shade = shade.astype(np.uint8).tobytes()
            self.reward_range = [low, high]


class OperationSliders(anywidget.AnyWidget):
    """A slider and a number field an operation, in ms, with Ξ's Gaussian and the measured devices behind each.

    Attributes
    ----------
    values, maxima
        Latency of each operation and the sliders' right ends, five each, in ms.
    names
        What the operations are called.
    mean, sd, marks
        Ξ's mean and standard deviation, five each, and the latencies of measured devices, five lists, in ms.
    """

    _esm = BROWSER / "sliders.js"

    names: Any = traitlets.List().tag(sync=True)
    mean: Any = traitlets.List().tag(sync=True)
    sd: Any = traitlets.List().tag(sync=True)
    marks: Any = traitlets.List().tag(sync=True)
    values = traitlets.List(traitlets.CFloat(), minlen=5, maxlen=5).tag(sync=True)
    maxima = traitlets.List(traitlets.CFloat(), minlen=5, maxlen=5).tag(sync=True)

    def refresh(self) -> None:
        """Make the fields show `values` again, after something else was typed."""
        self.send({})


class Files(anywidget.AnyWidget):
    """A button that brings a file to the kernel, and buttons that give the reader files.

    Parameters
    ----------
    upload
        What the upload's button says; none without it.
    on_upload
        Called with the file's name, its size in bytes, and its content, which is None if the file is too large.
    downloads
        File ending to what makes ``(content, name, media type)`` when its button is pressed.
    titles
        File ending to what its button's hint says.
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
        """A file has come, or a button was pressed; what else a browser may send is not for this widget."""
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


def as_bytes(values: ArrayLike) -> bytes:
    """Values as the float32 that the browser reads."""
    return np.asarray(values, dtype="<f4").tobytes()


def padded(values: ArrayLike) -> list[float]:
    """Range of the finite values, with a margin, for an axis."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    low, high = float(finite.min()), float(finite.max())
    margin = 0.03 * (high - low) or 0.5
    return [low - margin, high + margin]
