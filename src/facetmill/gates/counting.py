"""What one split of a dataset holds, counted batch by batch, with the first places where something is wrong.

Each shard is counted by whichever process comes to it first, so counts can be written and added up.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facetmill.encoders.folding import fold_value
from facetmill.gates.scripts import Characters, added, characters_of
from facetmill.gates.verdict import MAX_EXAMPLES
from facetmill.records import Modality, Provenance

COLUMNS = ("product_id", "title", "text", "group_id", "images", "facets")
_MAY_BE_BLANK = ("text", "images", "facets")
_COUNTED = (
    *("products", "images", "facets", "explicit_facets", "spans", "missing_fields", "empty_values"),
    *("unknown_modalities", "unknown_provenances", "predicted_facets", "facets_outside_schema", "broken_spans"),
)
_WORD = re.compile(r"\w+")

_Place = Callable[[int, str, object], str]

_WRITTEN = pa.schema(  # one row
    {
        **dict.fromkeys(("ids", "groups"), pa.list_(pa.string())),
        **dict.fromkeys(("titles", "looks"), pa.binary()),
        **dict.fromkeys(("pictured", "characters"), pa.list_(pa.int64())),
        "pairs": pa.list_(pa.struct({"attribute": pa.string(), "value": pa.string(), "num": pa.int64()})),
        **dict.fromkeys(("numbers", "products_of"), pa.map_(pa.string(), pa.int64())),
    }
)


@dataclass
class Examples:
    """The first few places where something is wrong, by column."""

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, column: str, *places: str) -> None:
        room = MAX_EXAMPLES - len(self.found[column])
        self.found[column].extend(places[:room])

    def add_all(self, later: Examples) -> None:
        for column, places in later.found.items():
            self.add(column, *places)

    def wants(self, column: str) -> bool:
        return len(self.found[column]) < MAX_EXAMPLES


@dataclass
class SplitCounts:
    """What one split holds. `numbers` becomes its row in the splits frame; `known` are the attributes it may have,
    `look` tells how a picture looks."""

    known: frozenset[str] | None
    examples: Examples
    look: Callable[[str], bytes | None] = lambda image: None
    numbers: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_COUNTED, 0)))
    ids: list[pa.Array] = field(default_factory=list)
    groups: list[pa.Array] = field(default_factory=list)
    titles: list[bytes] = field(default_factory=list)  # eight bytes for the words of each, see `_title_words`
    looks: bytearray = field(default_factory=bytearray)  # a `LOOK` of each first picture that there is,
    pictured: array[int] = field(default_factory=lambda: array("q"))  # and the place in `ids` of the product it is of
    characters: Characters = field(default_factory=lambda: characters_of(()))  # of titles and texts
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    products_of: Counter[str] = field(default_factory=Counter)

    def add(self, batch: pa.RecordBatch, shard: str, first_row: int) -> None:
        """Count one batch; `first_row` is how many rows of the shard came before it."""
        self.ids.append(batch["product_id"])
        self.groups.append(batch["group_id"])
        self.titles.append(b"".join(_title_words(title or "") for title in batch["title"].to_pylist()))
        for name in ("title", "text"):
            self.characters = added(self.characters, characters_of(batch[name].to_pylist()))
        for number, images in enumerate(batch["images"].to_pylist(), start=self.numbers["products"]):
            if images and (look := self.look(images[0])):
                self.looks += look
                self.pictured.append(number)
        self.numbers["products"] += batch.num_rows
        self.numbers["images"] += pc.sum(pc.list_value_length(batch["images"])).as_py() or 0

        def place(row: int, name: str, value: object) -> str:
            return f"{shard}, row {first_row + row + 1}, field {name}: {short(value)}"

        for name in COLUMNS:
            column = batch[name]
            missing = pc.is_null(column) if name in _MAY_BE_BLANK else _blank(column)
            self._count("missing_fields", missing, _at_row(place, name, column))
        self._add_facets(batch, place)

    def _add_facets(self, batch: pa.RecordBatch, place: _Place) -> None:
        facets, product_of = pc.list_flatten(batch["facets"]), pc.list_parent_indices(batch["facets"])
        attribute, value, spans, modality, provenance, _ = facets.flatten()
        explicit = pc.greater(pc.list_value_length(spans), 0)
        self.numbers["facets"] += len(facets)
        self.numbers["explicit_facets"] += pc.sum(explicit).as_py() or 0
        self.numbers["spans"] += pc.sum(pc.list_value_length(spans)).as_py() or 0

        def at_facet(name: str, column: pa.Array) -> Callable[[int], str]:
            return lambda at: place(product_of[at].as_py(), f"facets ({attribute[at]}).{name}", column[at].as_py())

        self._count("empty_values", _blank(value), at_facet("value", value))
        self._count("unknown_modalities", _outside(modality, get_args(Modality)), at_facet("modality", modality))
        self._count(
            "unknown_provenances", _outside(provenance, get_args(Provenance)), at_facet("provenance", provenance)
        )
        self._count("predicted_facets", pc.equal(provenance, "predicted"), at_facet("provenance", provenance))
        if self.known is not None:
            unknown = _outside(attribute, sorted(self.known))
            self._count("facets_outside_schema", unknown, at_facet("attribute", attribute))
        for row, problem in _broken_spans(batch, spans, value, product_of):
            self.numbers["broken_spans"] += 1
            if self.examples.wants("broken_spans"):
                self.examples.add("broken_spans", place(row, "facets.spans", problem))

        table = pa.table({"product": product_of, "attribute": attribute, "value": value})
        for row in table.group_by(["attribute", "value"]).aggregate([([], "count_all")]).to_pylist():
            self.pairs[row["attribute"], row["value"]] += row["count_all"]
        once = table.select(["product", "attribute"]).group_by(["product", "attribute"]).aggregate([])
        for row in pc.value_counts(once["attribute"]).to_pylist():
            self.products_of[row["values"]] += row["counts"]

    def write(self, path: Path) -> None:
        """Write all but the examples."""
        row = {
            "ids": [each for ids in self.ids for each in ids.to_pylist()],
            "groups": [each for groups in self.groups for each in groups.to_pylist()],
            "titles": b"".join(self.titles),
            "looks": bytes(self.looks),
            "pictured": self.pictured.tolist(),
            "characters": self.characters.tolist(),
            "pairs": [(*pair, num) for pair, num in self.pairs.items()],
            "numbers": list(self.numbers.items()),
            "products_of": list(self.products_of.items()),
        }
        pq.write_table(pa.Table.from_pylist([row], _WRITTEN), path)

    def add_written(self, path: Path) -> None:
        """Add what other counts wrote, of products that come after these."""
        with pq.ParquetFile(path) as written:
            [row] = written.read().to_batches()
        self.ids.append(row["ids"].values)
        self.groups.append(row["groups"].values)
        self.titles.append(row["titles"][0].as_py())
        self.looks += row["looks"][0].as_py()
        self.pictured.extend(self.numbers["products"] + number for number in row["pictured"][0].as_py())
        self.characters = added(self.characters, np.array(row["characters"][0].as_py(), np.int64))
        attributes, values, nums = (column.to_pylist() for column in row["pairs"].values.flatten())
        self.pairs.update(dict(zip(zip(attributes, values, strict=True), nums, strict=True)))
        self.numbers.update(dict(row["numbers"][0].as_py()))
        self.products_of.update(dict(row["products_of"][0].as_py()))

    def _count(self, column: str, wrong: pa.Array, describe: Callable[[int], str]) -> None:
        self.numbers[column] += pc.sum(wrong).as_py() or 0
        if self.numbers[column] and self.examples.wants(column):
            at = pc.indices_nonzero(pc.fill_null(wrong, False))[:MAX_EXAMPLES]
            self.examples.add(column, *(describe(each) for each in at.to_pylist()))


def _at_row(place: _Place, name: str, column: pa.Array) -> Callable[[int], str]:
    return lambda at: place(at, name, column[at].as_py())


def _broken_spans(
    batch: pa.RecordBatch, spans: pa.Array, values: pa.Array, product_of: pa.Array
) -> Iterator[tuple[int, str]]:
    """Row and description of each span outside its field, or whose characters are not its value, as the match stage
    compares them (ignoring case)."""
    facet_of = pc.list_parent_indices(spans)
    names, starts, ends = (column.to_pylist() for column in pc.list_flatten(spans).flatten())
    rows, wanted = product_of.take(facet_of).to_pylist(), values.take(facet_of).to_pylist()
    texts = {"title": batch["title"].to_pylist(), "text": batch["text"].to_pylist()}
    for row, name, start, end, value in zip(rows, names, starts, ends, wanted, strict=True):
        if name not in texts:
            yield row, f"no field {name!r} to have a span in"
            continue
        whole = texts[name][row] or ""
        if not 0 <= start < end <= len(whole):
            yield row, f"{name}[{start}:{end}] is not inside its {len(whole)} characters, value {value!r}"
        elif whole[start:end] != value and fold_value(whole[start:end]) != fold_value(value):
            yield row, f"{name}[{start}:{end}] reads {whole[start:end]!r}, value {value!r}"


def _title_words(title: str) -> bytes:
    """The same for titles of the same words, whatever their order, case, punctuation and numbers."""
    words = sorted({word for word in _WORD.findall(title.casefold()) if not word.isdigit()})
    return blake2b(" ".join(words).encode(errors="replace"), digest_size=8).digest()


def _blank(column: pa.Array) -> pa.Array:
    return pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True)


def _outside(column: pa.Array, allowed: Collection[str]) -> pa.Array:
    """True where a value is not null and not allowed."""
    return pc.and_not(pc.is_valid(column), pc.is_in(column, pa.array(list(allowed), pa.string())))


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
