"""How this machine computes: which device, how many threads, and how fp32 matrices are multiplied.

On AMD CPUs torch multiplies fp32 matrices through MKL's slow path; the precision "medium" takes oneDNN instead, which
is about twice as fast and there still true fp32. With AMX "medium" means bf16, and on Intel without AMX it is slower
(0.65 of MKL, measured on a Cascade Lake), so it is chosen by what the CPU is, and only where a probe finds full fp32.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from facetmill.errors import PlatformError

Precision = Literal["highest", "medium"]

MAX_FP32_ERROR = 1e-5  # relative; fp32 products of the probe are near 1e-6, bf16 ones near 3e-3


def pick_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Raises `PlatformError` when "cuda" is wanted and absent."""
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise PlatformError("training.device = 'cuda': torch finds no CUDA device; use auto or cpu")
    return torch.device("cuda" if found and wanted != "cpu" else "cpu")


def cpu_has_bf16() -> bool:
    """Whether torch has bf16 kernels for this CPU: without AVX-512 its LSTM fails, and all else is slower than fp32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def require_bf16(device: torch.device) -> None:
    """Raises `PlatformError` on a CPU that has none."""
    if device.type == "cpu" and not cpu_has_bf16():
        raise PlatformError("training.precision = 'bf16': this CPU has no AVX-512, so torch cannot do it; use fp32")


@contextmanager
def compute_settings(threads: int) -> Iterator[None]:
    """Use `threads` threads and the fastest true fp32 within the block; both are as before after it."""
    old_threads, old_precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(fp32_precision())
    try:
        yield
    finally:
        torch.set_num_threads(old_threads)
        torch.set_float32_matmul_precision(old_precision)


@cache
def fp32_precision() -> Precision:
    """The matmul precision setting to run fp32 with on this machine's CPU."""
    return choose_precision(_cpu_info(), matmul_error("medium"))


def choose_precision(cpu_info: str, medium_error: float) -> Precision:
    """ "medium" for an AMD CPU without AMX where it was seen to stay true fp32; `cpu_info` as in /proc/cpuinfo."""
    suits = "AuthenticAMD" in cpu_info and "amx_tile" not in cpu_info
    return "medium" if suits and medium_error <= MAX_FP32_ERROR else "highest"


def matmul_error(precision: Precision) -> float:
    """Largest error of an fp32 product on the CPU under a setting, relative to the largest entry of the true one."""
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(256, 512, generator=generator), torch.randn(512, 256, generator=generator)
    exact = left.double() @ right.double()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        product = left @ right
    finally:
        torch.set_float32_matmul_precision(before)
    return ((product.double() - exact).abs().max() / exact.abs().max()).item()


def _cpu_info() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if os.name == "posix" and path.exists() else ""
