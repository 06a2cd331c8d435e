"""How long hypothesis looks for what breaks a promise; every test that draws its input goes by this.

`make test`, and so CI, draws the same few examples each time: a change is judged by what it does, not by luck. By hand
it may look longer, a hundred times by default, and elsewhere each time:

    FACETMILL_FUZZ=long make test PYTEST_ARGS='tests/contract/test_fuzzed_readers.py'

What breaks something is shown as an example to be added to the test. tests/fuzz/ looks by coverage instead, for hours.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("FACETMILL_FUZZ", "ci")
_TIMES = {"ci": 1, "long": 100}


def load_profile() -> None:
    """Before any test is imported. A fixture that lasts for all examples of a test, such as a folder, is no mistake."""
    lasting = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    settings.register_profile("ci", deadline=None, suppress_health_check=lasting, derandomize=True)
    settings.register_profile("long", deadline=None, suppress_health_check=lasting, max_examples=100 * _TIMES["long"])
    settings.load_profile(PROFILE)


def examples(number: int) -> settings:
    """Another number of examples than the hundred that are usual, for tests that are slower or find more."""
    return settings(max_examples=number * _TIMES[PROFILE])
