"""Where encoders that were fetched lie, and a word for one that does not."""

from __future__ import annotations

from pathlib import Path

from facetmill.errors import ParamsError

HOME = Path(".facetmill") / "encoders"  # where params.yaml looks for them


def require_here(setting: str, network: str) -> None:
    """Raises `ParamsError` for a network that is named as a folder and is not there, with what makes it."""
    path = Path(network)
    if not network.startswith((".", "/", "~")) or path.exists():
        return
    mend = f"; `facetmill encoders --fetch {path.name}` makes it" if path.parent == HOME else ""
    raise ParamsError(f"{setting} = {network!r}: there is no such folder{mend}")
