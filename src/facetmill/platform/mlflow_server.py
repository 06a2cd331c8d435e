"""The embedded MLflow server in one process: `python -m facetmill.platform.mlflow_server STORE ARTIFACTS PORT`.

It does what `mlflow server --workers 1` does without its second process, which is 280 MB smaller and up in half the
time. It may rely on MLflow's inner names, since pyproject.toml pins MLflow to one minor version.
"""

from __future__ import annotations

import os
import sys

from facetmill.imports import unhindered_imports

with unhindered_imports():
    import uvicorn
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores

ARTIFACT_ROOT = "mlflow-artifacts:/"  # stored with every run, so that the folder behind it can move


def main(store_uri: str, artifacts_uri: str, port: int) -> None:
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
    uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=port, access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
