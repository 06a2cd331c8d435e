"""Nothing that is printed can make a terminal do something."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from facetmill.platform import environment
from facetmill.platform.layout import Layout
from facetmill.terminal import brief, one_line, visible

EVIL = "\x1b]0;owned\x07\x1b[2K\x9b1A\u202egnp\x7f\r\ud800"
SHOWN = r"\u001b]0;owned\u0007\u001b[2K\u009b1A\u202egnp\u007f\u000d\ud800"


def test_what_a_terminal_obeys_is_shown_and_all_else_stays() -> None:
    assert visible(EVIL) == SHOWN
    assert visible("größe\t夏\n\u200d\N{HEBREW LETTER ALEF}") == "größe\t夏\n\u200d\N{HEBREW LETTER ALEF}"
    assert one_line("spring\n    passed") == "spring\\n    passed"
    assert visible(brief({"a": EVIL * 99})) == brief({"a": EVIL * 99})
    assert len(brief([EVIL * 99] * 99)) < 1000


PRINTS = """
import logging, sys, warnings
from facetmill.cli.common import say, show
from facetmill.terminal import guard
from facetmill.training.progress import progress_bar
guard()
evil = sys.argv[1].encode().decode("unicode_escape")
show({evil: [evil, {"why": evil + "\\nfacetmill: all is well"}]}, False)
show({evil: evil}, True)
say(evil)
logging.getLogger("facetmill").warning("%s", evil)
sys.stderr.writelines([evil])
with progress_bar("epoch", 2, True) as advance:
    advance(1)
raise RuntimeError(evil)
"""


def test_every_way_out_of_a_process_is_guarded(tmp_path: Path) -> None:
    """Words, JSON, a log line, a traceback; in a locale that knows no letter of another language."""
    given = EVIL.encode("unicode_escape").decode()
    done = subprocess.run(
        [sys.executable, "-c", PRINTS, given],
        capture_output=True,
        env={**environment.project_environment(Layout(tmp_path)), "PYTHONPATH": ":".join(sys.path), "LC_ALL": "C"},
        timeout=60,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    for text in (out, err):
        assert visible(text) == text, text
    words, _, value = out.partition("\n{")
    assert words.split("\n")[0] == f"{SHOWN}:"
    assert "\n  facetmill" not in words
    assert json.loads("{" + value) == {EVIL: EVIL}
    assert err.count(SHOWN) == 4
    assert f"RuntimeError: {SHOWN}" in err
