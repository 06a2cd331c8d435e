"""Putting a back-up back: nothing is written before every hash was checked, and nothing that is here is overwritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from facetmill.backup.contents import PARTS, Contents, Part, read_contents
from facetmill.backup.stores import STORES
from facetmill.errors import PlatformError
from facetmill.platform import servers
from facetmill.platform.layout import Layout
from facetmill.platform.locks import require_alone

Log = Callable[[str], None]


def restore(
    layout: Layout, source: Path, log: Log, *, only: Sequence[Part] = (), replace: bool = False
) -> tuple[Contents, Path | None]:
    """Put a back-up back, or only some parts of it; returns what is in it, and the folder that what was here is in now.

    Raises `PlatformError`, having written nothing, for a back-up that is not whole, while servers of this project run
    or other processes are at work in it, and where something is here already, unless that is to be replaced: then it is
    moved aside.
    """
    source = source.expanduser().absolute()
    log(f"checking the hashes of {source}")
    contents = read_contents(source, only or PARTS)
    stores = {part: STORES[part](layout) for part in only or PARTS if contents.of(part)}
    if "runs" in stores and servers.named_url(servers.MLFLOW):
        raise PlatformError(
            f"{servers.MLFLOW.variable} names a server, which keeps its own runs; unset it, or say --only for the rest"
        )
    require_alone(layout.at_work_dir)
    if servers.running(layout):
        raise PlatformError("servers of this project run, and write what is to be put back; facetmill down, then again")
    here = {part: what for part, store in stores.items() if (what := store.here())}
    if here and not replace:
        named = "\n".join(f"  {part}: {what}" for part, what in here.items())
        raise PlatformError(f"nothing was put back, for this is here already; --replace moves it aside:\n{named}")
    aside = layout.state_dir / f"replaced-{datetime.now():%Y%m%d-%H%M%S}" if here else None
    for part, store in stores.items():
        log(f"putting back: {part}")
        if aside is not None and part in here:
            store.move_aside(aside)
        store.put_back(source, contents.of(part))
    return contents, aside
