"""The embedded MLflow server in one process.

    python -m facetmill.platform.mlflow_server STORE ARTIFACTS PORT [NAME ...]

It does what `mlflow server --workers 1` does without its second process, which is 280 MB smaller and up in half the
time. It may rely on MLflow's inner names, since pyproject.toml pins MLflow to one minor version. The wall of
`own_pages` stands before it: MLflow itself takes pages of any port of this machine, and names like 10.example.com.
NAMEs are those that a proxy in front of it is reached by; MLflow has a list of its own (MLFLOW_SERVER_ALLOWED_HOSTS).
"""

from __future__ import annotations

import os
import sys

from facetmill.imports import unhindered_imports
from facetmill.platform.own_pages import LOOPBACK, OwnPagesOnly

with unhindered_imports():
    import uvicorn
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores

ARTIFACT_ROOT = "mlflow-artifacts:/"  # stored with every run, so that the folder behind it can move


def main(store_uri: str, artifacts_uri: str, port: int, *names: str) -> None:
    """Serve on the loopback interface until a signal comes. The schema is made before the first request is taken."""
    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: store_uri,
            constants.REGISTRY_STORE_URI_ENV_VAR: store_uri,
            constants.ARTIFACT_ROOT_ENV_VAR: ARTIFACT_ROOT,
            constants.ARTIFACTS_DESTINATION_ENV_VAR: artifacts_uri,
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
            "_MLFLOW_SGI_NAME": "uvicorn",
        }
    )
    initialize_backend_stores(store_uri, store_uri, ARTIFACT_ROOT)
    from mlflow.server.fastapi_app import app  # reads the variables above

    app.add_middleware(OwnPagesOnly, names=(*LOOPBACK, *names))
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
