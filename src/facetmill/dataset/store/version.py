"""A frozen dataset: what a training may read, the id of exactly this data, and whether its gate passed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from facetmill.dataset.labels.splitting import subset_of
from facetmill.dataset.store import intact
from facetmill.errors import DataError, GateFailed
from facetmill.files import hash_json, read_json
from facetmill.records import SCHEMA_VERSION, SPLITS, AttributeSchema, Product, Split, from_batch, read_shard


@dataclass(frozen=True)
class Dataset:
    """The data of one workspace, as it was when opened.

    `dir` is the workspace; `version` is 64 hexadecimal digits that depend on the records and the bytes of their
    pictures, not on where they lie; `manifest` holds counts and hashes; `verdict` is what the check stage wrote, None
    where it cannot be read.
    """

    dir: Path
    name: str
    version: str
    schema: AttributeSchema
    manifest: dict[str, Any]
    verdict: dict[str, Any] | None

    @classmethod
    def open(cls, workspace_dir: Path) -> Dataset:
        """Read all but the products. Raises `DataError` where there is no dataset, or one of another schema version."""
        data_dir = workspace_dir / "dataset"
        try:
            manifest = read_json(data_dir / "manifest.json")
            schema = AttributeSchema.from_json((data_dir / "schema.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(f"{workspace_dir}: not a built dataset: no file {error.filename}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{data_dir}: manifest.json or schema.json cannot be read: {error!r}") from error
        version = dataset_version(data_dir)
        verdict, _ = _read_verdict(workspace_dir)
        return cls(workspace_dir, workspace_dir.resolve().name, version, schema, manifest, verdict)

    def read(self, split: Split, share: float = 1.0, seed: int = 0) -> Iterator[Product]:
        """Stream the products of a split, or of the nested subset of `share` (0..1) of its groups, the paths of their
        pictures absolute. Raises `DataError` for a shard that is not that of the version (see `intact.py`), and for a
        path that leaves the workspace."""
        shards = intact.shards_of(self.dir / "dataset", self.manifest, split)
        chosen = None if share >= 1 else subset_of(_group_ids(shards), share, seed)
        for product in chain.from_iterable(from_batch(batch) for shard in shards for batch in read_shard(shard)):
            if chosen is None or product.group_id in chosen:
                paths = (self.image_path(product, i) for i in range(len(product.images)))
                yield replace(product, images=tuple(str(path.absolute()) for path in paths))

    def image_path(self, product: Product, i: int) -> Path:
        """Where picture `i` of a product lies. Raises `DataError` for a relative path that leaves the workspace."""
        path = Path(product.images[i])
        if path.is_absolute():
            return path
        root = self.dir.resolve()
        if not (root / path).resolve().is_relative_to(root):
            raise DataError(f"{self.dir}, product {product.product_id}: image {product.images[i]!r} leaves the dataset")
        return self.dir / path

    @property
    def lists_pictures(self) -> bool:
        """Whether a changed picture can be told; datasets of before there were listings cannot."""
        return intact.lists_pictures(self.manifest)

    def changed_pictures(self) -> list[str]:
        """The first pictures that are not what they were when the dataset was built."""
        return intact.changed_pictures(self.dir / "dataset", self.manifest)

    def require_intact(self) -> None:
        """Raises `DataError` that names a shard or picture which is not what it was when the dataset was built."""
        data_dir = self.dir / "dataset"
        for split in SPLITS:
            intact.shards_of(data_dir, self.manifest, split)
        intact.require_pictures(data_dir, self.manifest)

    def require_passed(self) -> None:
        """Refuse data whose gate did not pass. Raises `GateFailed` unless checked/verdict.json, read anew, says that
        exactly this version passed."""
        verdict, problem = _read_verdict(self.dir)
        path = self.dir / "checked" / "verdict.json"
        if verdict is None:
            raise GateFailed(f"{path}: {problem}; build the dataset again")
        if verdict.get("dataset_version") != self.version:
            raise GateFailed(
                f"{path}: the verdict is on dataset version {verdict.get('dataset_version')!r}, but this is "
                f"{self.version}; build the dataset again"
            )
        if verdict.get("passed") is not True:
            claims = verdict.get("verdicts", [])
            reasons = [claim["reason"] for claim in claims if not claim["passed"] and claim["severity"] == "critical"]
            said = "".join(f"\n  {reason}" for reason in reasons)
            raise GateFailed(f"the data gate did not pass; see {path.with_name('report.html')}{said}")


def _group_ids(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        for batch in read_shard(path, columns=("group_id",)):
            yield from batch.column("group_id").to_pylist()


def dataset_version(data_dir: Path) -> str:
    """SHA-256 over the hashes of shards and listed pictures in `manifest.json`, and over `schema.json`: 64 hexadecimal
    digits.

    Raises `DataError` where the manifest is not one that the split stage wrote.
    """
    try:
        manifest = read_json(data_dir / "manifest.json")
        if manifest["schema_version"] != SCHEMA_VERSION:
            raise DataError(
                f"{data_dir / 'manifest.json'}: schema version {manifest['schema_version']}, but this Facetmill reads "
                f"{SCHEMA_VERSION}; rebuild the dataset"
            )
        hashes = {split: [shard["sha256"] for shard in manifest["splits"][split]["shards"]] for split in SPLITS}
        # Without pictures as it was before there were listings.
        pictures = {"pictures": manifest["pictures"]["sha256"]} if manifest.get("pictures") else {}
        return hash_json({"shards": hashes, "schema": read_json(data_dir / "schema.json"), **pictures})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{data_dir}: manifest.json or schema.json cannot be read: {error!r}") from error


def _read_verdict(workspace_dir: Path) -> tuple[dict[str, Any] | None, str]:
    """The verdict, or None and why there is none."""
    try:
        verdict = read_json(workspace_dir / "checked" / "verdict.json")
    except FileNotFoundError:
        return None, "there is no verdict of the data gate"
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        return None, f"the verdict of the data gate cannot be read ({error})"
    if not isinstance(verdict, dict):
        return None, "the verdict of the data gate is not a JSON object"
    return verdict, ""
