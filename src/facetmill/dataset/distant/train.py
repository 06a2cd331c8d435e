"""From labelled picture sets and a mapping to a labeller, and a report of how well it tells held-out pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from facetmill.compute.device import compute_settings, pick_device
from facetmill.compute.seeding import seed_everything
from facetmill.dataset.distant.classifier import PictureClassifier
from facetmill.dataset.distant.label_sources import LABEL_SOURCES, parse_labels
from facetmill.dataset.distant.labeller import Labeller, LearnedAttribute, require_replaceable
from facetmill.dataset.distant.learn import fit, logits_of, temperature
from facetmill.dataset.distant.mapping import LabelMapping, load_mapping
from facetmill.dataset.distant.quality import quality
from facetmill.dataset.distant.samples import UNKNOWN, Samples, gather
from facetmill.encoders.vision import build_image_encoder
from facetmill.files import replace_folder, write_json
from facetmill.params import LabellerParams, to_mapping


def train_labeller(
    labels: Sequence[str], mapping_path: Path, out: Path, params: LabellerParams, log: Callable[[str], None]
) -> dict[str, Any]:
    """Learn from picture sets named `format:folder`; write the labeller to `out`, replacing it, and return its report.

    Scores are of the test tenth, which nothing was chosen by. Raises `DataError` for sets or a mapping that cannot be
    read, or that leave nothing to learn, and where `out` is something else than an earlier labeller.
    """
    require_replaceable(out)
    sets = [parse_labels(text) for text in labels]
    mapping = load_mapping(mapping_path, LABEL_SOURCES)
    with tempfile.TemporaryDirectory() as scratch, compute_settings(params.threads), replace_folder(out) as folder:
        read = [(name, LABEL_SOURCES[name].read(path)) for name, path in sets]
        samples, intake = gather(read, mapping, params.image_encoder.size, params.seed, Path(scratch) / "pixels")
        for warning in intake.warnings:
            log(f"warning: {warning}")
        log(f"{len(samples.value_PA)} pictures for {', '.join(samples.attributes)}")
        labeller, best_epochs = learn(samples, mapping, params, log)
        report = {
            "labels": list(labels),
            "mapping": mapping_path.name,
            "params": to_mapping(params),
            "intake": intake.to_json(),
            "pictures": samples.count_values(),
            "best_epochs": best_epochs,
            "test": score(labeller, samples),
        }
        labeller.save(folder)
        write_json(folder / "report.json", report)
    return report


def learn(
    samples: Samples, mapping: LabelMapping, params: LabellerParams, log: Callable[[str], None]
) -> tuple[Labeller, list[int]]:
    """A calibrated labeller, and the best epoch of each of its networks.

    `tasks: multi` is one network that learns every attribute; `single` is one for each that may be annotated somewhere,
    for what only helps to learn helps none of them.
    """
    annotated = [a for a, name in enumerate(samples.attributes) if mapping.categories[name] != ()]
    whole = list(range(len(samples.attributes)))
    networks: list[PictureClassifier] = []
    attributes: list[LearnedAttribute] = []
    best_epochs = []
    device = pick_device(params.device)
    for columns in [whole] if params.tasks == "multi" else [[a] for a in annotated]:
        seed_everything(params.seed)
        num_values = [len(samples.values[a]) for a in columns]
        network = PictureClassifier(build_image_encoder(params.image_encoder), num_values, params.dropout).to(device)
        judged = [place for place, a in enumerate(columns) if a in annotated]
        best_epochs.append(fit(network, samples, columns, judged or range(len(columns)), params, log))
        validation = samples.of("validation")
        logits = logits_of(network, samples.pixels_P3SS[validation])
        for head, a in enumerate(columns):
            value_P = torch.from_numpy(samples.value_PA[validation, a])
            known = value_P != UNKNOWN
            attributes.append(
                LearnedAttribute(
                    name=samples.attributes[a],
                    values=samples.values[a],
                    categories=mapping.categories[samples.attributes[a]],
                    network=len(networks),
                    head=head,
                    temperature=temperature(logits[head][known], value_P[known]),
                )
            )
        networks.append(network.to("cpu"))
    return Labeller(networks, attributes), best_epochs


def score(labeller: Labeller, samples: Samples) -> dict[str, Any]:
    """The quality of each attribute on the test pictures that show it."""
    test = samples.of("test")
    predicted = labeller.tell(samples.pixels_P3SS[test])
    found = {}
    for attribute in labeller.attributes:
        true_P = samples.value_PA[test, samples.attributes.index(attribute.name)]
        known = true_P != UNKNOWN
        values_told = [
            attribute.values[v] for v in predicted[attribute.name].argmax(1)[torch.from_numpy(known)].tolist()
        ]
        values_true = [attribute.values[v] for v in true_P[known].tolist()]
        result = quality(values_told, values_true, samples.group_P[test][known])
        found[attribute.name] = None if result is None else asdict(result)
    return found
