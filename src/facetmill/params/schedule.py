"""When a catalogue retrains by itself: the section `schedule` of its file, the only one that params.yaml has not.

schedule:
  cron: "0 3 * * *"           # minute, hour, day of month, month, day of week
  timezone: Europe/Berlin     # without it, UTC
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from facetmill.errors import ParamsError
from facetmill.params.problems import did_you_mean

SCHEDULE = "schedule"

_FIELD = re.compile(r"[\d*,/A-Za-z#?-]+")  # of cron; what it means is Prefect's to say


@dataclass(frozen=True)
class Schedule:
    cron: str
    timezone: str = "UTC"


def parse_schedule(raw: Any, origin: str) -> Schedule:
    """The section of a file that is called `origin`. Raises `ParamsError` naming key and value."""
    keys = [field.name for field in fields(Schedule)]
    if not isinstance(raw, Mapping):
        raise ParamsError(f"{origin}: {SCHEDULE} = {raw!r}: expected the keys {' and '.join(keys)}")
    for key in raw:
        if key not in keys:
            raise ParamsError(f"{origin}: unknown key '{SCHEDULE}.{key}'{did_you_mean(str(key), keys)}")
    if "cron" not in raw:
        raise ParamsError(f"{origin}: missing key '{SCHEDULE}.cron'")
    found = Schedule(**raw)
    cron, timezone = found.cron, found.timezone
    if not isinstance(cron, str) or len(cron.split()) != 5 or not all(map(_FIELD.fullmatch, cron.split())):
        raise ParamsError(
            f'{origin}: {SCHEDULE}.cron = {cron!r}: expected five fields, minute to day of week, such as "0 3 * * *"'
        )
    try:
        ZoneInfo(timezone)
    except (ValueError, TypeError, OSError, KeyError):
        near = did_you_mean(str(timezone), available_timezones())
        raise ParamsError(
            f"{origin}: {SCHEDULE}.timezone = {timezone!r}: no such time zone{near}; one is Europe/Berlin"
        ) from None
    return found
