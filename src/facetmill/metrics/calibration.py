"""How far confidences are from how often a model is right."""

from __future__ import annotations

from collections.abc import Sequence

NUM_BINS = 10


def calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float | None:
    """The expected calibration error (0..1): the mean distance of confidence (0..1) and accuracy over ten bins of equal
    width, each weighed by how many values it holds. None without any.

    Source: Naeini, Cooper, Hauskrecht. "Obtaining Well Calibrated Probabilities Using Bayesian Binning." AAAI 2015.
    """
    if not confidences:
        return None
    import torch  # both are slow to import
    from torchmetrics.functional.classification import binary_calibration_error

    preds, target = torch.tensor(confidences), torch.tensor(right, dtype=torch.int64)
    return float(binary_calibration_error(preds, target, n_bins=NUM_BINS, norm="l1"))
