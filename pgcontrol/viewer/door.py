"""Access control for the viewer's page: Studio's own server listens on all interfaces, without authentication, and
accepts files.

Studio serves through `websockets`. A Door replaces the three names with which its web viewer binds a port, serves on it
and prints the address. If one of these names did not exist, `stand` would raise, and nothing would be served. The
viewer prints nothing else: its other lines report files, which the page does not accept, and "Model changed" for the
first model.
"""

# mujoco is an extension module without types
# pyright: reportAttributeAccessIssue=false

import functools
import secrets
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mujoco.studio import web_viewer
from mujoco.studio.web import web_server
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from pgcontrol.options import InputError

STUDIO = {"bind": web_server.bind_public_socket, "serve": web_server.serve, "banner": web_viewer._print_url_banner}
UPLOAD = "/drop"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Door:
    """Accepts a request only if it comes from the page itself and has the token, in its address or in a cookie.

    Attributes:
        host: the interface to listen on.
        token: the token that the page's address must contain.
    """

    def __init__(self, host: str):
        """Raises InputError if no interface of this machine has that address."""
        try:
            socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        except (OSError, UnicodeError) as error:
            raise InputError(
                f"--host {host}: {error}; must be an address of this machine, or 0.0.0.0 for all interfaces"
            ) from None
        self.host, self.token = host, secrets.token_urlsafe(16)

    def stand(self) -> None:
        """Install the door for the next viewer that is launched."""
        web_server.bind_public_socket = lambda _, port: STUDIO["bind"](self.host, port)
        web_server.serve = self.serve
        web_viewer._print_url_banner = lambda _, port: print(f"watch at {self.address(port)}", flush=True)
        web_viewer.print = lambda *_, **__: None  # it reports the first model as a changed one

    def address(self, port: int) -> str:
        """The address of the page, for a browser."""
        everywhere, local = self.host in ("", "0.0.0.0", "::"), self.host in LOOPBACK
        host = socket.getfqdn() if everywhere else "localhost" if local else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/?token={self.token}"

    def serve(self, *args: Any, process_request: Callable[..., Response | None], **settings: Any) -> Any:
        """Like `websockets.serve`, with access control."""
        return STUDIO["serve"](*args, process_request=functools.partial(self.answer, process_request), **settings)

    def answer(
        self, studio: Callable[..., Response | None], connection: ServerConnection, request: Request
    ) -> Response | None:
        """Studio's response, or a refusal."""
        path, _, query = request.path.partition("?")
        host = request.headers.get("Host", "")
        cookie = f"pgcontrol_{urlsplit(f'//{host}').port}"  # browsers share cookies between all ports of a host
        tokens = [*parse_qs(query).get("token", []), *_cookies(request, cookie)]
        if not any(secrets.compare_digest(token.encode(), self.token.encode()) for token in tokens):
            return connection.respond(HTTPStatus.FORBIDDEN, "open the address that pgcontrol printed, with its token\n")
        if any(urlsplit(origin).netloc != host for origin in request.headers.get_all("Origin")):
            return connection.respond(HTTPStatus.FORBIDDEN, "requested from another page\n")
        if path == UPLOAD:
            return connection.respond(HTTPStatus.FORBIDDEN, "files are not accepted\n")
        response = studio(connection, request)
        if response is not None:
            response.headers["Set-Cookie"] = f"{cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _cookies(request: Request, name: str) -> list[str]:
    """The values of a request's cookies with that name."""
    pairs = [pair.strip().partition("=") for line in request.headers.get_all("Cookie") for pair in line.split(";")]
    return [value for key, _, value in pairs if key == name]
