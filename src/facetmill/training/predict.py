"""What a model says of many products: a stream in, a stream out, in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import torch

from facetmill.encoders.grounding import with_places
from facetmill.models.base import Answer, Model
from facetmill.models.calibration import Calibration
from facetmill.records import Facet, Product

BATCHES_SORTED = 16  # products of this many batches are sorted by length together, so that little padding is computed


def predict(model: Model, products: Iterable[Product], batch_size: int) -> Iterator[list[Facet]]:
    """One list of facets per product, in the order of `products`, as `answer_all` finds them."""
    return (list(answer.facets) for answer in answer_all(model, products, batch_size))


def answer_all(model: Model, products: Iterable[Product], batch_size: int) -> Iterator[Answer]:
    """One answer per product, in the order of `products`; puts the model in evaluation mode.

    Facets are calibrated, and those less sure than their attribute's threshold left out, as are further values of an
    attribute that has one; a value without a place gets every one where it stands in the text; what is found nothing of
    is looked up, where the model has a `fallback`. At most 16 batches of products are held at a time.
    """
    device = device_of(model)
    stream = iter(products)
    while chunk := list(islice(stream, batch_size * BATCHES_SORTED)):
        order = sorted(range(len(chunk)), key=lambda place: text_length(chunk[place]))
        answers: dict[int, Answer] = {}
        model.eval()
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            with torch.inference_mode():
                found = model.answer(model.collate([chunk[place] for place in places]).to(device))
            finished = [_finished(model, chunk[n], each) for n, each in zip(places, found, strict=True)]
            if model.fallback is not None:
                told = model.fallback.filled([chunk[n] for n in places], [each.facets for each in finished])
                finished = [replace(each, facets=facets) for each, facets in zip(finished, told, strict=True)]
            answers |= dict(zip(places, finished, strict=True))
        yield from (answers[place] for place in range(len(chunk)))


def calibrate(model: Model, validation: Sequence[Product], batch_size: int) -> None:
    """Have a trained model learn, from what it answers about validation products, how sure it is."""
    one_value, fallback = model.calibration.one_value, model.fallback
    model.calibration, model.fallback = Calibration(one_value=one_value), None
    model.calibrate(list(zip(validation, answer_all(model, validation, batch_size), strict=True)))
    model.calibration, model.fallback = replace(model.calibration, one_value=one_value), fallback


def _finished(model: Model, product: Product, answer: Answer) -> Answer:
    facets = answer.facets
    if not model.calibration.changes_nothing:
        facets = model.calibration.applied(facets)
    if not all(facet.explicit for facet in facets):
        facets = with_places(product, facets)
    return replace(answer, facets=facets)


def device_of(model: Model) -> torch.device:
    """Where the model's parameters are; the CPU for a model without any."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def text_length(product: Product) -> int:
    """Characters of title and text: what a product costs a text model, near enough to batch by."""
    return len(product.title) + len(product.text)
