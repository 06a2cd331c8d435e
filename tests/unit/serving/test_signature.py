"""Every client of the live model goes on being served."""

from __future__ import annotations

from itertools import pairwise

from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema

from facetmill.serving.signature import PUBLISHED, SIGNATURE, serves_clients_of

OTHER = ModelSignature(Schema([ColSpec(DataType.string, "title")]), SIGNATURE.outputs)


def test_what_is_newer_serves_the_clients_of_what_is_older_and_not_the_other_way_round() -> None:
    old, new = PUBLISHED
    assert new == SIGNATURE
    assert serves_clients_of(old, None)
    assert serves_clients_of(old, old)
    assert serves_clients_of(new, old)
    assert serves_clients_of(new, new)
    assert not serves_clients_of(old, new), "it would drop the pictures and words that clients send"
    assert not serves_clients_of(OTHER, None)
    assert not serves_clients_of(None, None)
    assert serves_clients_of(new, OTHER), "nobody can rely on what was never published"


def test_each_published_signature_takes_and_gives_all_that_the_one_before_does() -> None:
    for before, after in pairwise(PUBLISHED):
        for old, new in ((before.inputs, after.inputs), (before.outputs, after.outputs)):
            kept = new.inputs[: len(old.inputs)]
            assert kept == old.inputs
            assert not any(column.required for column in new.inputs[len(old.inputs) :])
