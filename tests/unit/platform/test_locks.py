"""A lock keeps others out, says who holds it, and is free when its holder dies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facetmill.errors import Busy
from facetmill.platform.layout import Layout
from facetmill.platform.locks import exclusive, register, require_alone

HOLDER = """
import sys
from pathlib import Path
from facetmill.platform.locks import exclusive, register
from facetmill.platform.layout import Layout
folder = Path(sys.argv[1])
with exclusive(folder / "one.lock", "testing"):
    user = Layout(folder)
    register(folder / "all", user)
    print("held", flush=True)
    input()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", HOLDER, str(tmp_path)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_who_is_refused_is_told_who_holds_it_how_called_and_since_when(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    told = rf"process {holder.pid} \(-c .*\), since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"
    with pytest.raises(Busy) as refused, exclusive(tmp_path / "one.lock", "testing", timeout=0):
        pass
    assert re.match(f"another process is testing: {told}", str(refused.value)), refused.value
    with pytest.raises(Busy) as refused:
        require_alone(tmp_path / "all")
    assert re.search(told, str(refused.value)), refused.value


def test_a_process_is_alone_with_itself_and_registered_only_while_it_works(tmp_path: Path) -> None:
    user = Layout(tmp_path)
    register(tmp_path / "all", user)
    require_alone(tmp_path / "all")
    del user
    assert list((tmp_path / "all").iterdir()) == []


def test_a_lock_is_free_again_when_its_holder_dies(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()
    with exclusive(tmp_path / "one.lock", "testing", timeout=5):
        pass
    require_alone(tmp_path / "all")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []  # what it left there is tidied up


def test_a_holder_that_could_not_write_its_name_still_keeps_others_out(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    for path in tmp_path.rglob("*.lock"):
        os.truncate(path, 0)
    with pytest.raises(Busy, match="could not say who"), exclusive(tmp_path / "one.lock", "testing", 0):
        pass
    with pytest.raises(Busy, match="could not say who"):
        require_alone(tmp_path / "all")


def test_a_holder_from_the_future_is_told_as_it_is(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """The clock was set back since."""
    path = tmp_path / "one.lock"
    path.write_text(re.sub(r'"since": "\d+', '"since": "2999', path.read_text()))
    with pytest.raises(Busy, match=rf"process {holder.pid} .* since 2999-"), exclusive(path, "testing", 0):
        pass


def test_nobody_holds_a_lock_that_another_has(tmp_path: Path) -> None:
    """The file goes with each holder, so the next one must notice that what it opened is gone."""
    path, inside = tmp_path / "many.lock", []

    def count(_: int) -> None:
        for _ in range(20):
            with exclusive(path, "counting"):
                inside.append(1)
                time.sleep(0.0001)
                assert inside.pop() == 1
                assert not inside

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, range(4)))
