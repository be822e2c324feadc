"""Real servers on localhost, each with its own settings folder, and Debian's Chromium, headless.

`make test-browser` runs these tests. `make test` does not, because they need a browser.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from simmore import paths

ROOT = paths.ROOT
SHOTS = paths.BUILD / "browser"
SERVERS = SHOTS / os.environ.get("PYTEST_XDIST_WORKER", "alone")  # files of servers; each process of tests has its own
NOTEBOOK = "08_explore_devices.ipynb"
START_S = 300  # a busy machine takes long to start a server or a kernel
MS = 1000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class Address(str):
    """Address of a server, with the process that serves it."""

    pid: int

    @property
    def kernels(self) -> list[int]:
        """The kernels that run: processes which the server started."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(child) for child in children if b"ipykernel" in Path(f"/proc/{child}/cmdline").read_bytes()]


@contextmanager
def server(name: str, command: list[str], address: str, **variables: str):
    """A Jupyter server of its own settings, started, waited for, and ended with all its kernels."""
    settings = SERVERS / f"{name}_settings"
    shutil.rmtree(settings, ignore_errors=True)
    (settings / "labconfig").mkdir(parents=True)
    page = '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
    (settings / "labconfig" / "page_config.json").write_text(page)  # no questions about news, nor asking for them
    folders = {"JUPYTER_CONFIG_DIR": settings, "JUPYTER_RUNTIME_DIR": settings, "JUPYTER_DATA_DIR": settings}
    environment = os.environ | {key: str(folder) for key, folder in folders.items()} | variables
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    beside = ROOT.parent / "shared" / "upstream"
    if beside.is_dir():
        environment.setdefault("SIMMORE_MIRROR", str(beside))
    output = SERVERS / f"{name}.log"
    with open(output, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT, start_new_session=True)
        try:
            until = time.monotonic() + START_S
            while not answers(f"{address}/static/nothing"):
                assert process.poll() is None and time.monotonic() < until, output.read_text()[-3000:]
                time.sleep(0.2)
            served = Address(address)
            served.pid = process.pid
            yield served
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session", autouse=True)
def shots():
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS


@pytest.fixture(scope="session")
def voila():
    """Address of a Voila that serves the explorer as `make explore` does."""
    port, app = free_port(), str(ROOT / "app")
    command = [
        sys.executable,
        "-m",
        "voila",
        f"notebooks/{NOTEBOOK}",
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
    ]
    with server("voila", command, f"http://127.0.0.1:{port}", JUPYTER_PATH=app, JUPYTER_CONFIG_PATH=app) as address:
        yield address


@contextmanager
def jupyter(kind: str, *before: str, allow_remote_access: bool = False):
    """Address of a JupyterLab or a Notebook, on a copy of the notebook, for it saves what was run.

    `before` is what the server's command is handed to, as Binder hands it to ``binder/start``. Binder's server listens
    on all addresses, and then allows any host name (`allow_remote_access`).
    """
    port, folder = free_port(), SERVERS / f"{kind}_root"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, folder)
    command = [
        *(
            *before,
            sys.executable,
            "-m",
            kind,
            "--no-browser",
            "--allow-root",
            f"--ServerApp.port={port}",
            "--ServerApp.ip=127.0.0.1",
        ),
        *(f"--ServerApp.root_dir={folder}", "--IdentityProvider.token="),
        f"--ServerApp.allow_remote_access={allow_remote_access}",
    ]
    if kind == "jupyterlab":
        command.append("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdates")
    with server(kind, command, f"http://127.0.0.1:{port}") as address:
        yield address


class Visit:
    """A page of its own, as another reader would open it, and what went wrong there."""

    def __init__(
        self, browser, address: str, *, width: int = 1280, height: int = 900, phone: bool = False, tour: bool = False
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, has_touch=phone, is_mobile=phone
        )
        if not tour:  # as if the reader had been here before
            self.context.add_init_script("try { localStorage.setItem('simmore-tour', 'seen') } catch {}")
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("response", lambda r: self.problems.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        self.page.on("request", lambda r: self.elsewhere.append(r.url) if not self.is_local(r.url) else None)
        self.page.set_default_timeout(60 * MS)
        self.began = time.perf_counter()
        self.page.goto(address, timeout=START_S * MS, wait_until="commit")

    @staticmethod
    def is_local(url: str) -> bool:
        return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))

    def wait_for_plane(self) -> float:
        """Wait until all cells are drawn; return the seconds since the page was asked for."""
        self.page.wait_for_selector(".simmore-plane canvas[data-drawn]", timeout=START_S * MS)
        return time.perf_counter() - self.began

    @property
    def best(self) -> str:
        """What the card says of h*: its heading and its string."""
        return self.page.locator(".simmore-cell").first.locator("code").inner_text()

    def end(self) -> None:
        """Close the page as a reader does."""
        self.page.close(run_before_unload=True)
        self.page.wait_for_event("close") if not self.page.is_closed() else None

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def visit(browser):
    """Opens pages, and closes them."""
    visits: list[Visit] = []

    def open_(address: str, **options) -> Visit:
        visits.append(Visit(browser, address, **options))
        return visits[-1]

    yield open_
    for each in visits:
        each.close()
