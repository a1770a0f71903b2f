"""The page for a browser: what it shows, and who can open it."""

import contextlib
import hashlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from pgcontrol.options import InputError
from pgcontrol.viewer import play
from tests.processes import hearing
from tests.viewer.test_play import saved


def test_the_page_is_served_and_its_state_advances(tmp_path, capsys):
    """A browser's view: the page, the model, and a stream of states that changes; then a clean end."""
    player = play.Player(*play.find_agent(saved(tmp_path / "step_1", "binned"), "policy", True, 0), seed=0)
    streamed: set[str] = set()
    with play.launch(player, "web", port=0, host="127.0.0.1") as handle:
        handle.set_model(player.model, data=player.data)
        until, said = time.monotonic() + 20, ""
        while "token=" not in said and handle.is_running() and time.monotonic() < until:
            time.sleep(0.01)
            said += capsys.readouterr().out
        address = said.partition("watch at ")[2].strip()
        stream = connected(socket_of(address, "state"), until)
        while handle.is_running() and len(streamed) < 5 and time.monotonic() < until:
            handle.sync()
            try:
                streamed.add(hashlib.sha256(bytes(stream.recv(timeout=0))).hexdigest())  # pyright: ignore[reportArgumentType]
            except (TimeoutError, TypeError):
                continue
        page = urllib.request.urlopen(address, timeout=10).read().decode()
        stream.close()
    assert "<canvas" in page
    assert len(streamed) == 5
    assert player.steps > 0
    assert not handle.is_running()


@contextlib.contextmanager
def served(*words: str):
    """The page's address. In a new process, because two of Studio's viewers in one process do not work."""
    command = [sys.executable, "-m", "pgcontrol", "play", "Hopper-v5", "--agent", "random", "--viewer", "web", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=hearing(signal.SIGINT))
    try:
        assert process.stdout is not None
        address = process.stdout.readline().partition("watch at ")[2].strip()
        connected(socket_of(address, "state"), time.monotonic() + 20).close()
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[0]
        assert said.endswith("\nstopped\n")
        assert "Model changed" not in said
        assert process.returncode == 0


@pytest.fixture
def address():
    with served() as found:
        yield found


def test_the_server_accepts_requests_with_the_token_from_the_page(address):
    """Every path and socket of the page, with and without; by the address and by the cookie that it leaves."""
    base, _, query = address.partition("?")
    origin = base.rstrip("/")

    def status(path: str, **headers: str) -> int:
        request = urllib.request.Request(base + path, headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code

    with urllib.request.urlopen(address, timeout=10) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= {word.strip() for word in cookie.split(";")}
    mine = {"Cookie": f"other=1; {cookie.partition(';')[0]}"}
    for path in ("", "index.html", "model", "web_client.js", "no-such"):
        found = 404 if path == "no-such" else 200
        assert status(path) == status(path, Cookie=cookie[:30]) == status(f"{path}?token=x") == 403
        assert status(f"{path}?{query}") == status(path, **mine) == status(path, **mine, Origin=origin) == found
        for foreign in ("https://example.com", "null", "http://localhost:1", "http://localhost"):
            assert status(path, **mine, Origin=foreign) == status(f"{path}?{query}", Origin=foreign) == 403
    sockets = {name: f"ws{base[4:]}{name}?sid=test" for name in ("ui", "state", "drop")}
    for name, socket_address in sockets.items():
        refused = [{}, {"Origin": origin}, {**mine, "Origin": "https://example.com"}]
        for headers in [*refused, *([{**mine, "Origin": origin}] if name == "drop" else [])]:
            with pytest.raises(InvalidStatus, match="403"):
                connect(socket_address, additional_headers=headers, open_timeout=10)
        if name != "drop":
            connect(socket_address, additional_headers={**mine, "Origin": origin}, open_timeout=10).close()


@pytest.mark.parametrize(("host", "elsewhere"), [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")])
def test_the_page_is_not_seen_from_elsewhere(host, elsewhere):
    """All of 127.0.0.0/8 is this machine. The same port can be taken elsewhere, so only one address listens."""
    with socket.socket() as taken:
        taken.bind((elsewhere, 0))
        port = taken.getsockname()[1]
        words = [] if host == "127.0.0.1" else ["--host", host]
        with served("--port", str(port), *words) as address, pytest.raises(ConnectionRefusedError):
            socket.create_connection((elsewhere, port), timeout=10)
    shown = urlsplit(address)
    assert (shown.hostname, shown.port) == ({"127.0.0.1": "localhost"}.get(host, host), port)


def test_no_such_host_is_one_line():
    with pytest.raises(InputError, match=r"--host 192\.0\.2\.1: .*must be an address of this machine"):
        play.play(Path("Hopper-v5"), "web", "zero", False, 0, 0, "192.0.2.1")


def socket_of(address: str, name: str) -> str:
    base, _, query = address.partition("?")
    return f"ws{base[4:]}{name}?sid=test&{query}"


def connected(address: str, until: float):
    """The port is printed a moment before the server accepts connections."""
    while True:
        try:
            return connect(address, open_timeout=10)
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_taken_port_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=str(port)):
            play.play(Path("Hopper-v5"), "web", "zero", False, 0, port, "127.0.0.1")
