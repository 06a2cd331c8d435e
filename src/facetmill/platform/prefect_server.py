"""The `prefect` command with unhindered imports: `python -m facetmill.platform.prefect_server server start ...`."""

from __future__ import annotations

from facetmill.imports import unhindered_imports

with unhindered_imports():
    import prefect.server.api.server  # noqa: F401, what the command imports later
    from prefect.cli import app

if __name__ == "__main__":
    app()
