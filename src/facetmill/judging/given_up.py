"""Whether a challenger is of the champion's catalogue: it has every attribute and category that the champion has, but
for those that a person gives up by name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from facetmill.errors import DataError, GateFailed
from facetmill.judging.challenge import fetch
from facetmill.params.problems import did_you_mean
from facetmill.project import Project
from facetmill.records import AttributeSchema
from facetmill.registry import versions
from facetmill.serving.vocabulary import Vocabulary

SHOWN = 5  # names in a message


@dataclass(frozen=True)
class GivenUp:
    """Attributes and categories of the champion that its successor need not have."""

    attributes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.attributes or self.categories)

    def to_json(self) -> dict[str, list[str]]:
        return {kind: sorted(names) for kind, names in asdict(self).items()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Sequence[str]] | None) -> GivenUp:
        """The inverse of `to_json`; None is nothing."""
        return cls(**{kind: tuple(names) for kind, names in (raw or {}).items()})


def lost(
    champion: Vocabulary, attributes: Collection[str], categories: Collection[str], given_up: GivenUp
) -> list[str]:
    """What the champion has and a challenger with these `attributes` and `categories` has not, in words, less what is
    `given_up`. Raises `DataError` for something given up that the champion has not."""
    found = []
    for kind, its, mine, gone, option in (
        ("attribute", champion.values.keys(), attributes, given_up.attributes, "--drop-attribute"),
        ("category", champion.categories, categories, given_up.categories, "--drop-category"),
    ):
        for name in gone:
            if name not in its:
                raise DataError(f"{option} {name!r}: the champion has no such {kind}{did_you_mean(name, its)}")
        found += [f"{kind} {name!r}" for name in sorted(set(its) - set(mine) - set(gone))]
    return found


def require_same_catalogue(project: Project, schema: AttributeSchema, given_up: GivenUp) -> None:
    """Before anything is trained on a dataset of this schema: what comes of it could replace the champion. Raises
    `GateFailed` where it would be rejected for what it lacks, and as `lost` does."""
    live = versions.champion(project.tracker)
    if live is None:
        if given_up:
            raise DataError(f"nothing is live in the catalogue {project.catalogue}, so nothing can be given up")
        return
    champion = versions.resolve(project.tracker, f"{live.name}/{live.version}")
    with tempfile.TemporaryDirectory() as folder:
        served = fetch(project, champion, Path(folder), needed=f"champion {champion.version}")
        lacking = lost(served.vocabulary, schema.names, schema.by_category, given_up)
    if lacking:
        raise GateFailed(
            f"the data has not all that {champion.ref} answers: {brief(lacking)}. If it is of another shop, make it a "
            "catalogue of its own (facetmill catalogue add); if these are to go, say so: --drop-attribute NAME, "
            "--drop-category NAME"
        )


def brief(names: list[str]) -> str:
    """The first few, and how many more."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")
