"""The embedded Prefect server: `python -m facetmill.platform.prefect_server PORT [NAME ...]`.

It does what `prefect server start` does, with unhindered imports and with the wall of `own_pages` before it, for
Prefect answers the pages of any site. NAMEs are those that a proxy in front of it is reached by.
"""

from __future__ import annotations

import sys

from facetmill.imports import unhindered_imports
from facetmill.platform.own_pages import LOOPBACK, OwnPagesOnly

with unhindered_imports():
    import uvicorn
    from prefect.server.api.server import create_app


def main(port: int, *names: str) -> None:
    """Serve on the loopback interface until a signal comes."""
    app = create_app(final=True)
    app.add_middleware(OwnPagesOnly, names=(*LOOPBACK, *names))
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
