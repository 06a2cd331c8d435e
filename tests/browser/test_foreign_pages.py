"""What a page of another site can do to the embedded servers: nothing. Real servers, a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from facetmill.doctor.servers import check_foreign_pages
from facetmill.platform import servers
from tests.pipeline.conftest import Platform, platform, prefect

from .conftest import launched

pytestmark = [pytest.mark.pipeline, pytest.mark.usefixtures("prefect")]

__all__ = ["platform", "prefect"]  # fixtures of real servers

EVIL = "evil.example"

# Whatever a page can try without a plugin: JSON behind a preflight, forms' types without one, and a web socket.
ATTACKS = """
async (server) => {
  const body = JSON.stringify({name: 'evil', type: 'process'})
  const sent = async (options) => {
    try { const answer = await fetch(server.url + server.path, options); return answer.type + ' ' + answer.status }
    catch (error) { return 'refused' }
  }
  const found = {}
  for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded'])
    for (const mode of ['cors', 'no-cors'])
      found[type + ' ' + mode] = await sent({method: 'POST', body, mode, headers: {'content-type': type}})
  found.read = await sent({mode: 'cors'})
  found.socket = await new Promise((done) => {
    const socket = new WebSocket(server.url.replace('http', 'ws') + '/api/events/in')
    socket.onopen = () => done('open')
    socket.onerror = () => done('refused')
  })
  return found
}
"""


@pytest.fixture(scope="module")
def rebound(playwright: Playwright) -> Iterator[Browser]:
    """A browser for which a foreign name is this machine."""
    with launched(playwright, f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as browser:
        yield browser


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """A web site of somebody else; its address."""
    (folder / "index.html").write_text("<h1>kittens</h1>")
    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield f"http://{EVIL}:{serving.server_port}"
    finally:
        serving.shutdown()
        serving.server_close()


def targets(of: Platform) -> list[dict[str, str]]:
    running = servers.running(of.layout)
    paths = {"prefect": "/api/work_pools/", "mlflow": "/api/2.0/mlflow/experiments/create"}
    return [{"url": f"http://127.0.0.1:{running[name].port}", "path": path} for name, path in paths.items()]


def made_by_a_page(of: Platform) -> list[Any]:
    prefect, mlflow = targets(of)
    pools = httpx.post(f"{prefect['url']}/api/work_pools/filter", json={}).json()
    asked = {"max_results": 100, "filter": "name = 'evil'"}
    found = httpx.post(f"{mlflow['url']}/api/2.0/mlflow/experiments/search", json=asked).json()
    return [pool for pool in pools if pool["name"] == "evil"] + found.get("experiments", [])


def test_a_page_of_another_site_changes_and_reads_nothing(platform: Platform, rebound: Browser, tmp_path: Path) -> None:
    with site(tmp_path) as address:
        page = rebound.new_page()
        page.goto(address)
        for target in targets(platform):
            found = page.evaluate(ATTACKS, target)
            # In no-cors mode a page sees of no answer what it was; that nothing was made is told below.
            assert {how: said for how, said in found.items() if "no-cors" not in how and said != "refused"} == {}
        page.close()
    assert made_by_a_page(platform) == []


def test_a_name_that_was_rebound_to_this_machine_is_refused(platform: Platform, rebound: Browser) -> None:
    page = rebound.new_page()
    for target in targets(platform):
        foreign = {**target, "url": target["url"].replace("127.0.0.1", EVIL)}
        answer = page.goto(foreign["url"])
        assert answer is not None
        assert answer.status == 403
        found = page.evaluate(ATTACKS, foreign)
        assert found["application/json cors"] == "basic 403"
        assert found["read"] == "basic 403"
        assert found["socket"] == "refused"
    page.close()
    assert made_by_a_page(platform) == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_own_pages_work_under_both_names(platform: Platform, browser: Browser, name: str) -> None:
    prefect, _ = targets(platform)
    page: Page = browser.new_page()
    page.goto(prefect["url"].replace("127.0.0.1", name))
    expect(page.get_by_role("heading", name="Run a task or flow to get started")).to_be_visible(timeout=60_000)
    made = page.evaluate(
        "async (url) => (await fetch(url, {method: 'POST', body: '{}', headers: {'content-type': 'application/json'}}))"
        ".status",
        f"{prefect['url']}/api/work_pools/filter",
    )
    assert made == 200
    page.close()


def test_doctor_is_content_with_them(platform: Platform) -> None:
    assert check_foreign_pages(platform.layout) == []
