"""A wall before a server on loopback: only its own web pages may ask it, and programs that are no web page.

A browser sends to this machine whatever any page bids it. Two headers tell where a request comes from, and no page can
forge them: `Host` is the name that the page asked for, its own where it has that name resolve to loopback (DNS
rebinding), and `Origin` is the page's own address. Programs send no `Origin`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost")


class OwnPagesOnly:
    """ASGI middleware: 403 for a request or a web socket under another name than `names`, or from another page.

    The port of a name is free, since it may be forwarded; a page must have come from the port that it asks.
    """

    def __init__(self, app: App, names: Iterable[str] = LOOPBACK) -> None:
        self.app = app
        self.names = frozenset(names)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        refused = None if scope["type"] == "lifespan" else self.refusal(scope["headers"])
        if refused is None:
            await self.app(scope, receive, _unframed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refused})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": refused.encode()})

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Why a request with these headers is refused; None where it is not."""
        given = [(name.lower(), value.decode("latin-1")) for name, value in headers]
        hosts = [value for name, value in given if name == b"host"]
        origins = [value for name, value in given if name == b"origin"]
        host = _name_and_port(f"//{hosts[0]}") if len(hosts) == 1 else None
        if host is None or host[0] not in self.names:
            return f"refused: this server is not {', '.join(hosts) or 'without a name'}"
        for origin in origins:
            page = _name_and_port(origin)
            if page is None or page[0] not in self.names or page[1] != host[1]:
                return f"refused: pages of {origin} may not ask this server"
        return None


def _name_and_port(address: str) -> tuple[str, int | None] | None:
    """None for what is no address."""
    try:
        parts = urlsplit(address)
        return (parts.hostname, parts.port) if parts.hostname else None
    except ValueError:
        return None


def _unframed(send: Send) -> Send:
    """No other page may show this one in a frame and have its buttons clicked."""

    async def checked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            if not any(name.lower() == b"x-frame-options" for name, _ in headers):
                message["headers"] = [*headers, (b"x-frame-options", b"SAMEORIGIN")]
        await send(message)

    return checked
