"""Datasets on disk: workspaces, versions, the DVC remote, and what is told of them."""
