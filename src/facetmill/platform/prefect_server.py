"""The embedded Prefect server: `python -m facetmill.platform.prefect_server PORT [NAME ...]`.

It does what `prefect server start` does, with unhindered imports and with the wall of `own_pages` before it, for
Prefect answers the pages of any site. NAMEs are those that a proxy in front of it is reached by.
"""

from __future__ import annotations

import sys
from typing import Any

from facetmill.imports import unhindered_imports
from facetmill.platform.own_pages import LOOPBACK, OwnPagesOnly

with unhindered_imports():
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.server.database.orm_models import FlowRun
    from sqlalchemy import inspect


def main(port: int, *names: str) -> None:
    """Serve on the loopback interface until a signal comes."""
    mend_schedules()
    app = create_app(final=True)
    app.add_middleware(OwnPagesOnly, names=(*LOOPBACK, *names))
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")


def mend_schedules() -> None:
    """Have Prefect 3.8 schedule runs with SQLAlchemy 2.1, where it would schedule none and say so in its log alone.

    It inserts runs with their states beside them, which are no column. SQLAlchemy 2.0 passed such a key over; 2.1 asks
    what to do with it. The answer is: nothing, since Prefect inserts the states by themselves.
    """
    state: Any = inspect(FlowRun).all_orm_descriptors["state"]
    if getattr(state, "bulk_dml_setter", "not asked") is None:
        state.bulk_dml_setter = lambda cls, mapping, value: None


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
