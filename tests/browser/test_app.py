"""The explorer as an app: headless Chromium against a real Voila."""

import http.client
import json
import statistics
import time
import urllib.error
import urllib.request

import pandas as pd
import pytest
from playwright.sync_api import expect

from simmore import space

# milliseconds from moving a slider until the canvas is redrawn, 30 times
TIME_A_SLIDER = """async () => {
  const canvas = document.querySelector('.simmore-plane canvas');
  const slider = document.querySelectorAll('.simmore-track input')[3];
  const times = [];
  for (let k = 0; k < 30; k++) {
    const drawn = new Promise((resolve) => {
      const observer = new MutationObserver(() => { observer.disconnect(); resolve(); });
      observer.observe(canvas, { attributes: true, attributeFilter: ['data-drawn'] });
    });
    const began = performance.now();
    slider.value = 1 + 0.3 * k;
    slider.dispatchEvent(new Event('input'));
    await drawn;
    times.push(performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return times;
}"""


@pytest.fixture
def app(voila, visit):
    opened = visit(voila)
    opened.seconds = opened.wait_for_plane()
    yield opened
    assert opened.problems == [] and opened.elsewhere == []


def slider(page, name):
    return page.get_by_label(f"latency of {name} in ms", exact=True).first


def alert(page):
    return page.locator(".simmore-error")


def upload(page, path):
    page.locator(".simmore-files input[type=file]").first.set_input_files(path)


def search(page, **fields):
    for label, value in fields.items():
        page.get_by_label(label, exact=True).fill(value)
        page.get_by_label(label, exact=True).press("Tab")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_selector(".simmore-beliefs table")


def test_the_page_loads_without_an_error_or_another_server(app, shots):
    print(f"\nfrom asking for the page to all cells drawn, kernel started: {app.seconds:.1f} s")
    expect(app.page.get_by_role("heading", name="Explore devices")).to_be_visible()
    assert app.page.title() == "Explore devices · simmore"
    app.page.screenshot(path=shots / "explorer.png")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_the_width_of_a_screen(app, width):
    app.page.set_viewport_size({"width": width, "height": 844})
    for two in (False, True):
        app.page.get_by_label("compare two devices").set_checked(two)
        search(app.page, start="99")
        app.page.wait_for_timeout(500)
        assert app.page.evaluate(
            "(width) => [document.documentElement, document.body, document.querySelector('.simmore')]"
            ".every((e) => e.scrollWidth <= Math.min(width, e.clientWidth))",
            width,
        )


def test_moving_a_slider_changes_the_best_cell(app):
    before = app.best
    slider(app.page, "conv 3×3").focus()
    app.page.keyboard.press("Home")  # 0 ms is refused
    expect(alert(app.page)).to_contain_text("conv 3×3: a latency of 0 ms")
    assert app.best == before
    app.page.keyboard.press("ArrowRight")
    expect(alert(app.page)).to_have_count(0)
    expect(app.page.locator(".simmore-cell code").first).not_to_have_text(before)
    assert space.to_arch(app.best) != space.to_arch(before)


def test_every_move_of_a_slider_redraws_the_plane(app):
    times = app.page.evaluate(TIME_A_SLIDER)
    print(f"\nfrom slider to redraw: median {statistics.median(times):.0f} ms, worst of 30 {max(times):.0f} ms")
    assert len(times) == 30


def test_a_search_plays_by_itself_to_its_end(app, shots):
    search(app.page, start="99")
    heading = app.page.locator(".simmore-beliefs h3").first
    last = int(heading.inner_text().split(" of ")[1].split()[0])
    expect(heading).to_contain_text(f"step {last} of {last}", timeout=60_000)
    expect(app.page.get_by_role("button", name="play", exact=True)).to_be_visible()
    expect(app.page.locator(".simmore-recommended")).to_be_visible()
    app.page.get_by_role("button", name="one step back").click()
    expect(heading).to_contain_text(f"step {last - 1} of {last}")
    app.page.set_viewport_size({"width": 1280, "height": 1150})
    app.page.wait_for_timeout(300)
    app.page.screenshot(path=shots / "search.png")


def test_two_devices_are_compared_from_one_start(app, shots):
    app.page.get_by_label("compare two devices").check()
    expect(app.page.locator(".simmore-plane canvas")).to_have_count(2)
    search(app.page, start="421211")
    expect(app.page.locator(".simmore-beliefs h3")).to_have_count(2)
    for _ in range(8):
        app.page.get_by_role("button", name="one step on").click()
    app.page.get_by_label("limit", exact=True).first.check()
    app.page.set_viewport_size({"width": 1280, "height": 1350})
    app.page.wait_for_timeout(500)
    app.page.screenshot(path=shots / "compare.png")


def test_a_cell_is_reached_by_pointer_click_and_keyboard(app):
    canvas, card = app.page.locator(".simmore-plane canvas").first, app.page.locator(".simmore-card h3")
    box = canvas.bounding_box()
    canvas.hover(position={"x": 0.4 * box["width"], "y": 0.45 * box["height"]})
    expect(card).to_have_text("Cell under the pointer")
    canvas.click(position={"x": 0.4 * box["width"], "y": 0.45 * box["height"]})
    app.page.mouse.move(5, 5)
    expect(card).to_have_text("Selected cell")
    clicked = app.best
    canvas.focus()
    app.page.keyboard.press("ArrowRight")
    expect(app.page.locator(".simmore-cell code").first).not_to_have_text(clicked)


def test_the_limit_is_dragged(app):
    app.page.get_by_label("limit", exact=True).first.check()
    field = app.page.locator(".widget-text input[type=number]").first
    expect(field).not_to_have_value("0")
    before = float(field.input_value())
    # the pointer changes over the line
    box = app.page.locator(".simmore-plane canvas").first.bounding_box()
    y = box["y"] + box["height"] / 3
    for x in range(int(box["x"]) + 60, int(box["x"] + box["width"]) - 20, 3):
        app.page.mouse.move(x, y)
        if app.page.locator(".simmore-plane canvas").first.evaluate("e => e.style.cursor") == "ew-resize":
            break
    app.page.mouse.down()
    app.page.mouse.move(x + 120, y, steps=5)
    app.page.mouse.up()
    app.page.wait_for_timeout(500)
    assert float(field.input_value()) > before + 0.5


def test_an_uploaded_table_is_shown_and_searched(app, tmp_path):
    rows = "".join(f"{space.to_string(k)},{1 + (k * 7919 % 15625) / 1000}\n" for k in range(space.N_ARCHS))
    (tmp_path / "my_board.csv").write_text("arch,latency_ms\n" + rows)
    upload(app.page, tmp_path / "my_board.csv")
    expect(app.page.locator(".simmore-card h3")).to_contain_text("my_board")
    expect(alert(app.page)).to_have_count(0)
    search(app.page)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("text.csv", "arch,latency_ms\n0,fast\n", "row 2: the latency 'fast' is not a finite number"),
        ("formula.csv", "arch,latency_ms\n=SUM(A1:A9),1\n", "'=SUM(A1:A9)' is no cell"),
        (
            "script.csv",
            "arch,latency_ms\n<script>document.title='x'</script><img src=q onerror=alert(1)>,1\n",
            "is no cell",
        ),
        ("some.csv", "arch,latency_ms\n0,1.5\n", "lacks 15,624 of the 15,625 cells"),
    ],
)
def test_a_wrong_table_shows_its_error_and_the_explorer_goes_on(app, tmp_path, name, content, expected):
    app.page.on("dialog", lambda dialog: app.problems.append(dialog.message))
    before = app.best
    (tmp_path / name).write_text(content)
    upload(app.page, tmp_path / name)
    expect(alert(app.page)).to_contain_text(name)
    expect(alert(app.page)).to_contain_text(expected)
    assert app.page.locator(".simmore-error *").count() == 0 and app.page.title() == "Explore devices · simmore"
    slider(app.page, "conv 3×3").focus()
    app.page.keyboard.press("Home")
    app.page.keyboard.press("ArrowRight")
    expect(app.page.locator(".simmore-cell code").first).not_to_have_text(before)
    expect(alert(app.page)).to_have_count(0)


def test_a_table_of_100_mb_is_refused_and_the_explorer_goes_on(app, tmp_path):
    with open(tmp_path / "huge.csv", "wb") as file:
        file.truncate(100_000_000)
    upload(app.page, tmp_path / "huge.csv")
    expect(alert(app.page)).to_contain_text("huge.csv has 100.0 MB")
    search(app.page)


def test_a_text_for_a_number_is_refused_with_the_reason(app):
    field = app.page.get_by_label("latency of none in ms, as a number").first
    field.fill("fast")
    field.press("Enter")
    expect(alert(app.page)).to_contain_text("'fast' is not a latency")
    expect(field).not_to_have_value("fast")
    field.fill("1,5")
    field.press("Enter")
    expect(alert(app.page)).to_have_count(0)
    expect(field).to_have_value("1.50")


def test_steps_and_planes_are_downloaded(app, shots):
    search(app.page, start="99")
    for kind in ("CSV", "PNG", "SVG"):
        with app.page.expect_download() as download:
            app.page.get_by_role("button", name=f"⤓ {kind}").click()
        download.value.save_as(shots / download.value.suggested_filename)
    assert pd.read_csv(shots / "simmore_trajectory.csv")["arch"].iloc[0] == 99
    assert (shots / "simmore_planes.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (shots / "simmore_planes.svg").read_bytes()


def test_two_users_are_independent(app, voila, visit):
    other = visit(voila)
    other.wait_for_plane()
    before = other.best
    slider(app.page, "conv 3×3").focus()
    app.page.keyboard.press("Home")
    app.page.keyboard.press("ArrowRight")
    expect(app.page.locator(".simmore-cell code").first).not_to_have_text(before)
    search(app.page)
    assert other.best == before and other.page.locator(".simmore-beliefs table").count() == 0
    search(other.page, start="7")
    assert other.problems == []


# Voila serves nothing but the app


class NotFollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def status(address, path, method="GET"):
    opener = urllib.request.build_opener(NotFollowed)
    try:
        return opener.open(urllib.request.Request(f"{address}{path}", method=method), timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_does_not_contain_the_source(app):
    content = app.page.content()
    assert "Explorer(device" not in content and "from simmore import" not in content


@pytest.mark.parametrize(
    "path",
    [
        *("/api/contents", "/api/contents/08_explore_devices.ipynb", "/api/terminals", "/terminals/1", "/api/sessions"),
        *(
            "/api/kernels",
            "/api/kernelspecs",
            "/files/08_explore_devices.py",
            "/08_explore_devices.ipynb",
            "/tree",
            "/lab",
        ),
        *(
            "/voila/files/08_explore_devices.ipynb",
            "/voila/files/08_explore_devices.py",
            "/voila/files/../pyproject.toml",
        ),
        *("/voila/render/01_proxy_accuracy.ipynb", "/voila/api/contents/", "/voila/tree", "/../pyproject.toml"),
        *("/voila/static/../../configuration.py", "/voila/labextensions/../../../../pyproject.toml"),
        "/voila/templates/simmore/static/../../../../../pyproject.toml",
    ],
)
def test_no_file_and_no_terminal_is_served(voila, path):
    assert status(voila, path) != 200


def test_a_request_without_the_pages_token_is_refused(app, voila):
    kernel = json.loads(app.page.locator("#jupyter-config-data").text_content())["kernelId"]
    for method, path in (
        ("POST", f"/voila/api/shutdown/{kernel}"),
        ("DELETE", f"/api/kernels/{kernel}"),
        ("POST", "/api/kernels"),
    ):
        assert status(voila, path, method) in (403, 404, 405)
    search(app.page)


def test_a_user_cannot_run_code(app):
    answered = app.page.evaluate(
        """async () => {
          const { kernelId } = JSON.parse(document.querySelector('#jupyter-config-data').textContent);
          const socket = new WebSocket(`ws://${location.host}/api/kernels/${kernelId}/channels`);
          await new Promise((resolve) => { socket.onopen = resolve; });
          const seen = [];
          socket.onmessage = (event) => {
            if (typeof event.data !== 'string') return;
            const message = JSON.parse(event.data);
            if (message.parent_header?.msg_id === 'mine') seen.push(message.msg_type);
          };
          const ask = (msg_type, content) => socket.send(JSON.stringify({
            header: { msg_id: 'mine', username: '', session: 'mine', msg_type, version: '5.3', date: '' },
            parent_header: {}, metadata: {}, content, channel: 'shell', buffers: [] }));
          ask('execute_request', { code: '1 + 1', silent: false, store_history: false, allow_stdin: false });
          await new Promise((resolve) => setTimeout(resolve, 1500));
          const executed = [...seen];
          ask('kernel_info_request', {});  // allowed, so the socket works
          await new Promise((resolve) => setTimeout(resolve, 1500));
          socket.close();
          return [executed, seen];
        }"""
    )
    assert answered[0] == [] and "kernel_info_reply" in answered[1]


def test_a_foreign_host_name_is_refused(voila):
    """So that no other site can make a browser read the app under that site's name (DNS rebinding)."""
    port = voila.rsplit(":", 1)[1]
    before = voila.kernels

    def asked(host, **headers):
        request = urllib.request.Request(f"{voila}/", headers={"Host": host, **headers})
        try:
            return urllib.request.urlopen(request, timeout=60).status
        except urllib.error.HTTPError as error:
            return error.code

    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "192.0.2.1"):
        assert asked(host) == 403
    assert voila.kernels == before  # and nothing was started for it
    for host in ("localhost", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert asked(host) == 200


def test_a_foreign_page_reaches_no_widget(app, voila):
    kernel = json.loads(app.page.locator("#jupyter-config-data").text_content())["kernelId"]
    own, foreign = voila.removeprefix("http://"), "evil.example"
    for host, origin, expected in (
        (own, f"http://{own}", 101),
        (foreign, f"http://{foreign}", 403),
        (own, foreign, 403),
    ):
        asking = http.client.HTTPConnection(own, timeout=60)
        headers = {"Host": host, "Origin": origin, "Connection": "Upgrade", "Upgrade": "websocket"}
        headers |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13"}
        asking.request("GET", f"/api/kernels/{kernel}/channels", headers=headers)
        assert asking.getresponse().status == expected
        asking.close()


# a kernel lives as long as its page


def wait_until(condition, seconds):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.5)
    return condition()


def test_kernels_end_with_their_pages(voila, visit):
    """Twenty visits leave no kernel, one whose page never came ends after a minute, and an open page keeps its own."""
    before = set(voila.kernels)
    urllib.request.urlopen(f"{voila}/", timeout=120).read()  # as a page that is closed while it loads
    never_came = set(voila.kernels) - before
    stays = visit(voila)
    stays.wait_for_plane()
    others, most = set(voila.kernels), 0
    for _ in range(20):
        opened = visit(voila)
        opened.wait_for_plane()
        opened.end()
        most = max(most, len(set(voila.kernels) - others))
        assert opened.problems == []
    assert most <= 2
    assert wait_until(lambda: set(voila.kernels) <= others, 5), "kernels of ended visits"
    assert len(never_came) == 1
    assert wait_until(lambda: not never_came & set(voila.kernels), 100), "the kernel whose page never came"
    search(stays.page)  # longer than a minute open, and it still works
