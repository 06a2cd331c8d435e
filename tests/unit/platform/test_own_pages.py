"""Who may ask an embedded server, told by the headers alone; what a browser sends is tried in tests/browser."""

from __future__ import annotations

from typing import Any

import pytest

from facetmill.platform.own_pages import LOOPBACK, OwnPagesOnly


def answer(*headers: tuple[str, str], kind: str = "http", names: tuple[str, ...] = LOOPBACK) -> list[dict[str, Any]]:
    """What comes back for a request with these headers."""
    said: list[dict[str, Any]] = []

    async def server(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read of a request")

    scope = {"type": kind, "headers": [(name.encode(), value.encode()) for name, value in headers]}
    with pytest.raises(StopIteration):  # it waits for nothing, so one step runs it to its end
        OwnPagesOnly(server, names)(scope, receive, send).send(None)  # type: ignore[attr-defined]  # a coroutine
    return said


@pytest.mark.parametrize("host", ["127.0.0.1:4200", "localhost:4200", "localhost:9000", "LocalHost", "localhost"])
def test_programs_and_own_pages_are_answered(host: str) -> None:
    for origin in ((), (("origin", f"http://{host}"),), (("Origin", f"https://{host}"),)):
        (start,) = answer(("host", host), *origin)
        assert start["status"] == 200
        assert (b"x-frame-options", b"SAMEORIGIN") in start["headers"]


def test_a_page_under_the_other_name_of_loopback_is_an_own_one() -> None:
    assert answer(("host", "127.0.0.1:4200"), ("origin", "http://localhost:4200"))[0]["status"] == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "")],
        [("host", "evil.example:4200")],
        [("host", "127.0.0.1.evil.example:4200")],
        [("host", "10.evil.example")],
        [("host", "localhost:4200"), ("host", "evil.example")],
        [("host", "localhost:port")],
        [("host", "localhost:4200"), ("origin", "http://evil.example")],
        [("host", "localhost:4200"), ("origin", "http://localhost:8888")],
        [("host", "localhost:4200"), ("origin", "http://localhost")],
        [("host", "localhost:4200"), ("origin", "null")],
        [("host", "localhost:4200"), ("origin", "http://[")],
        [("host", "localhost:4200"), ("origin", "http://evil.example@127.0.0.2:4200")],
        [("host", "localhost:4200"), ("origin", "http://localhost:4200"), ("origin", "http://evil.example")],
    ],
)
def test_other_names_and_other_pages_are_refused(headers: list[tuple[str, str]]) -> None:
    start, body = answer(*headers)
    assert start["status"] == 403
    assert body["body"].startswith(b"refused: ")
    (closed,) = answer(*headers, kind="websocket")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)


def test_the_name_of_a_proxy_is_taken_where_it_is_given() -> None:
    headers = [("host", "prefect.example"), ("origin", "https://prefect.example")]
    assert answer(*headers)[0]["status"] == 403
    assert answer(*headers, names=(*LOOPBACK, "prefect.example"))[0]["status"] == 200
