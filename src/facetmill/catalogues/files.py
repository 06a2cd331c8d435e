"""`catalogues/<name>.yaml` written, listed and checked."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from facetmill.catalogues.columns import look
from facetmill.catalogues.pictures import folder_of_pictures, names_in_feed, names_of_pictures
from facetmill.catalogues.proposal import Proposal, propose
from facetmill.catalogues.recognised import CALLED, recognised, recognised_xml
from facetmill.dataset.store.reading import reading_data
from facetmill.dataset.store.workspace import resolve
from facetmill.errors import DataError, FacetmillError, ParamsError
from facetmill.files import write_text
from facetmill.params import Params, load_params
from facetmill.params.catalogue import (
    DEMO,
    FOLDER,
    catalogue_path,
    read_catalogue,
    read_schedule,
    require_name,
    saved_names,
)
from facetmill.params.schedule import SCHEDULE
from facetmill.sources import SOURCES, parse_data
from facetmill.terminal import one_line

SHOWN = 20  # categories

_HEAD = """\
# Written by `facetmill catalogue add`, to be edited. The keys are those of params.yaml, and what is not said here,
# params.yaml says; so a section such as `promotion:` or `sweep:` below may have the values of this catalogue alone.
# A section `schedule:` with `cron: "0 3 * * *"` and `timezone: Europe/Berlin` has it retrain by itself.
# `facetmill catalogue check {name}` says whether all is well.
"""


@dataclass(frozen=True)
class Added:
    """A catalogue that was written. `proposal` is None for a format whose columns are known, `pictures` the folder that
    pictures lie in where that is not the file's own."""

    name: str
    file: str
    data: str
    num_rows: int | None
    proposal: Proposal | None
    pictures: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def words(self) -> list[str]:
        """What was found, a line each."""
        data_format, _, path = self.data.partition(":")
        pictures = [] if self.pictures is None else [f"  pictures    lie in {self.pictures}"]
        if self.proposal is None:
            return [f"{self.file} is written: {path} is {CALLED.get(data_format, f'{data_format} data')}", *pictures]
        made = self.proposal
        lines = [f"{self.file} is written, from the first {self.num_rows:,} rows of {path}:"]
        lines += [f"  {field:<10}  {one_line(repr(column))}" for field, column in made.columns.items()] + pictures
        for number, (name, count) in enumerate(made.attributes.items()):
            values = f"{count:,} value{'s' if count != 1 else ''}"
            lines.append(f"  {'' if number else 'attributes':<10}  {one_line(repr(name))}, {values}")
        for number, (name, why) in enumerate(made.ignored.items()):
            lines.append(f"  {'' if number else 'ignored':<10}  {one_line(repr(name))}: {why}")
        if made.pictures_on_the_web is not None:
            lines.append(
                f"  {one_line(repr(made.pictures_on_the_web))} names pictures on the web, which are not fetched: "
                "download them, and name the files in a column instead"
            )
        if not made.attributes and "facets" not in made.columns:
            lines.append("  No column is left to be an attribute: --keep COLUMN takes one that is ignored")
        return lines


def add(
    root: Path,
    data: str,
    *,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    ignore: Collection[str] = (),
    keep: Collection[str] = (),
    replace: bool = False,
) -> Added:
    """Look at a file, or take data of a known format as "format:path", and write a catalogue for it.

    A file without a format that is the export of a shop system is read as that, unless columns are named. Raises
    `DataError` for data that is no table of products, and `ParamsError` for a name that cannot be, or that is
    another's, unless that is to be replaced; nothing is written then.
    """
    named, path = _address(data)
    data_format = named or "products"
    name = name if name is not None else _named_after(path)
    require_name(name)
    file = catalogue_path(root, name)
    if name == DEMO:
        raise ParamsError(f"catalogue {DEMO!r} is the one that is drawn by code; say --name NAME")
    if file.exists() and not replace:
        raise ParamsError(f"{FOLDER}/{file.name}: is there already; say --name NAME, or --replace to write it anew")
    looked = proposal = None
    is_feed = named is None and recognised_xml(path)
    if is_feed:
        data_format = "merchant"
    if data_format == "products":
        looked = look(path)
        if named is None and not (columns or ignore or keep):
            data_format = recognised(looked.columns) or data_format
    said: dict[str, Any] = {"format": data_format, "path": _shown_path(root, path)}
    beside = path.parent if looked is None else looked.file.parent
    names: Collection[str] = ()
    if looked is not None:
        names = names_of_pictures(looked)
    elif is_feed:
        names = names_in_feed(path)
    folder = folder_of_pictures(beside, names)
    if data_format == "products" and looked is not None:
        proposal = propose(looked, columns or {}, ignore, keep, pictures_here=folder is not None)
        said |= {"columns": proposal.columns, "ignore": list(proposal.ignored)}
    elif columns or ignore or keep:
        raise ParamsError(f"{data_format} data has columns of its own; --column, --ignore and --keep are for products")
    else:
        said |= {"columns": {}, "ignore": []}
    below = None if folder == beside else folder
    said |= {"images": None if below is None else _shown_path(root, below), "corrections": None}
    resolve(root, load_params(root / "params.yaml", (), ()), f"{data_format}:{path}")
    why = "" if proposal is None else "".join(f"#   {one_line(repr(c))}: {w}\n" for c, w in proposal.ignored.items())
    head = _HEAD.format(name=name) + (f"# What is ignored, and why:\n{why}" if why else "")
    text = yaml.safe_dump({"dataset": said}, allow_unicode=True, sort_keys=False, width=100)
    write_text(file, head + text)
    read_catalogue(root, name)
    num_rows = None if proposal is None or looked is None else looked.num_rows
    pictures = None if below is None else str(below)
    return Added(name, f"{FOLDER}/{file.name}", f"{data_format}:{path}", num_rows, proposal, pictures)


def listed(root: Path) -> list[dict[str, Any]]:
    """Every catalogue by name: its data, or what is wrong with it."""
    found = []
    for name in saved_names(root):
        try:
            dataset = settings(root, name).dataset
            where = "" if dataset.format == DEMO else dataset.path
            found.append({"name": name, "data": f"{dataset.format}:{where}", "wrong": None})
        except FacetmillError as error:
            found.append({"name": name, "data": None, "wrong": str(error)})
    return found


def settings(root: Path, name: str) -> Params:
    """All parameters as they are for a catalogue, its paths not looked for."""
    return load_params(root / "params.yaml", (), read_catalogue(root, name))


def shown(root: Path, name: str) -> dict[str, Any]:
    """What a catalogue says, by key, and where."""
    said = read_catalogue(root, name)
    file = catalogue_path(root, name)
    settings(root, name)
    schedule = read_schedule(root, name)
    when = {} if schedule is None else {f"{SCHEDULE}.{key}": value for key, value in asdict(schedule).items()}
    return {
        "name": name,
        "file": f"{FOLDER}/{file.name}" if file.is_file() else "none: it is built in",
        **{".".join(change.place): change.value for change in said},
        **when,
    }


def checked(root: Path, name: str) -> dict[str, Any]:
    """Read all of a catalogue's data as a build would, and count it. Raises what a build would raise."""
    params = resolve(root, settings(root, name), None)
    categories, attributes = Counter[str](), Counter[str]()
    with reading_data(params) as (products, report):
        for product in products:
            categories[product.category or "(none)"] += 1
            attributes.update({facet.attribute for facet in product.facets})
    return {
        "name": name,
        "data": f"{params.dataset.format}:{params.dataset.path}",
        "products": report.num_products,
        "rows_dropped": dict(report.dropped),
        "noted": dict(report.noted),
        "pictures": report.num_images,
        "pictures_dropped": dict(report.images_dropped),
        "examples": [example for examples in report.examples.values() for example in examples[:1]],
        "categories": dict(categories.most_common(SHOWN)),
        "more_categories": max(0, len(categories) - SHOWN),
        "products_with": dict(attributes.most_common()),
    }


def _address(data: str) -> tuple[str | None, Path]:
    """The format and the absolute path of "format:path"; None is that of a path alone."""
    before, colon, _ = data.partition(":")
    data_format, path = parse_data(data) if colon and before in SOURCES else (None, data)
    if data_format == DEMO:
        raise ParamsError(f"catalogue {DEMO!r} is there without a file")
    found = Path(os.path.abspath(Path(path).expanduser()))
    if not path or not found.exists():
        raise DataError(f"{data_format or 'products'} data: no such file or folder: {found}")
    return data_format, found


def _named_after(path: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:32].strip("-")
    if not name:
        raise ParamsError(f"{path}: its name makes no name of a catalogue; say --name NAME")
    return name


def _shown_path(root: Path, path: Path) -> str:
    """Below the project by its path from there, so that both can move together."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
