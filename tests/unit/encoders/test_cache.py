"""The feature cache: each input is encoded once, for this encoder alone, and a kill loses only what was unfinished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from facetmill.encoders.cache import ABANDONED_AFTER, FeatureCache, digest_of, encoder_identity, in_working_precision
from tests.damage import flip_byte

IDENTITY = "a" * 64


def rows_of(number: int, width: int = 4) -> np.ndarray:
    """The one right answer for input `number`: as many rows as its last digit; odd ones lie column by column in
    memory, as transposed feature maps do."""
    rows = number + np.arange(number % 10 * width, dtype=np.float32).reshape(-1, width) / 64
    return np.asfortranarray(rows) if number % 2 else rows


def fill(cache: FeatureCache, numbers: range, asked: list[int] | None = None) -> int:
    def encode(number: int) -> np.ndarray:
        if asked is not None:
            asked.append(number)
        return rows_of(number)

    return cache.fill((digest_of(str(n).encode()), lambda n=n: encode(n)) for n in numbers)  # type: ignore[misc]


def check(cache: FeatureCache, numbers: range) -> int:
    """How many of the inputs are there; each of these has its own rows."""
    found = 0
    for number in numbers:
        digest = digest_of(str(number).encode())
        if digest in cache:
            assert torch.equal(cache.get(digest), torch.from_numpy(rows_of(number)))
            found += 1
    return found


def test_each_input_is_encoded_once_and_found_again_by_another_process(tmp_path: Path) -> None:
    asked: list[int] = []
    cache = FeatureCache(tmp_path, IDENTITY)
    assert fill(cache, range(20), asked) == 20
    assert fill(cache, range(10, 30), asked) == 10
    again = FeatureCache(tmp_path, IDENTITY)
    assert fill(again, range(30), asked) == 0
    assert asked == list(range(30))
    assert check(again, range(40)) == len(again) == 30
    only_odd = FeatureCache(tmp_path / "odd", IDENTITY)
    fill(only_odd, range(7, 8))
    assert check(only_odd, range(7, 8)) == 1
    with pytest.raises(KeyError):
        again.get(digest_of(b"31"))


def test_bf16_vectors_are_kept_apart_and_take_half_the_room(tmp_path: Path) -> None:
    exact, half = FeatureCache(tmp_path, IDENTITY), FeatureCache(tmp_path, IDENTITY, torch.bfloat16)
    assert fill(exact, range(1000, 2000)) == fill(half, range(1000, 2000)) == 1000
    again = FeatureCache(tmp_path, IDENTITY, torch.bfloat16)
    for number in range(1000, 1010):  # 1000 has no rows
        kept = again.get(digest_of(str(number).encode()))
        assert kept.dtype == torch.bfloat16
        assert torch.equal(kept, torch.from_numpy(rows_of(number)).bfloat16())
        assert torch.equal(in_working_precision(kept), kept.float())
        with torch.autocast("cpu", torch.bfloat16):
            assert in_working_precision(kept) is kept
    assert check(FeatureCache(tmp_path, IDENTITY), range(1000, 2000)) == 1000
    digests_and_ends = 1000 * (32 + 8)
    small, large = (next(cache.folder.glob("part-*")).stat().st_size - digests_and_ends for cache in (half, exact))
    assert small / large == pytest.approx(0.5, abs=0.01)


def test_two_at_once_hurt_nothing(tmp_path: Path) -> None:
    first, second = FeatureCache(tmp_path, IDENTITY), FeatureCache(tmp_path, IDENTITY)
    assert fill(first, range(20)) == 20
    assert fill(second, range(10, 30)) == 20
    assert check(FeatureCache(tmp_path, IDENTITY), range(30)) == 30


def test_parts_of_a_digest_are_not_run_together() -> None:
    assert len({digest_of(b"ab", b"c"), digest_of(b"a", b"bc"), digest_of(b"abc")}) == 3


class Encoder(nn.Linear):
    def __init__(self, size: int) -> None:
        super().__init__(2, 2)
        self.size = size

    def describe(self) -> dict[str, int]:
        return {"size": self.size}


def test_another_weight_or_setting_is_another_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = Encoder(1)
    identity = encoder_identity(encoder)
    other = Encoder(2)
    other.load_state_dict(encoder.state_dict())
    same = Encoder(1)
    same.load_state_dict(encoder.state_dict())
    assert encoder_identity(same) == identity
    assert encoder_identity(other) != identity
    with torch.no_grad():
        encoder.bias[1] += 1e-6
    assert encoder_identity(encoder) != identity
    fill(FeatureCache(tmp_path, identity), range(5))
    assert len(FeatureCache(tmp_path, encoder_identity(encoder))) == 0


def test_a_damaged_part_is_made_again(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, IDENTITY)
    fill(cache, range(10))
    fill(cache, range(10, 20))
    damaged, _ = sorted(cache.folder.glob("part-*"))
    os.truncate(damaged, damaged.stat().st_size - 5)
    (cache.folder / "part-0.safetensors").write_bytes(b"")
    again = FeatureCache(tmp_path, IDENTITY)
    assert check(again, range(20)) == 10
    assert fill(again, range(20)) == 10
    assert check(FeatureCache(tmp_path, IDENTITY), range(20)) == 20


def test_one_flipped_byte_of_a_vector_is_found_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = FeatureCache(tmp_path, IDENTITY)
    fill(cache, range(10))
    [part] = cache.folder.glob("part-*")
    whole = part.read_bytes()
    flip_byte(part, at=0.9)
    again = FeatureCache(tmp_path, IDENTITY)
    assert f"{part}: damaged, so it was removed" in caplog.text
    assert fill(again, range(10)) == 10
    assert check(FeatureCache(tmp_path, IDENTITY), range(10)) == 10
    assert part.read_bytes() == whole


def test_only_long_abandoned_leftovers_are_removed(tmp_path: Path) -> None:
    folder = FeatureCache(tmp_path, IDENTITY).folder
    fresh, old = folder / ".part-1.safetensors.x", folder / ".part-2.safetensors.y"
    for path in (fresh, old):
        path.write_bytes(b"half")
    long_ago = time.time() - ABANDONED_AFTER - 60
    os.utime(old, (long_ago, long_ago))
    FeatureCache(tmp_path, IDENTITY)
    assert fresh.exists()
    assert not old.exists()


WRITER = """
import sys
from pathlib import Path
from facetmill.encoders.cache import FeatureCache
from tests.unit.encoders.test_cache import IDENTITY, fill
cache = FeatureCache(Path(sys.argv[1]), IDENTITY)
print(len(cache), flush=True)
for start in range(0, 20_000, 7):
    fill(cache, range(start, start + 7))
"""


def test_a_kill_at_any_moment_loses_only_the_unfinished_part(tmp_path: Path, root: Path) -> None:
    numbers, known = range(20_000), 0
    for number in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert int(writer.stdout.readline()) == known, "what was there before the kill is there after it"
            deadline = time.monotonic() + 60
            folder = FeatureCache(tmp_path, IDENTITY).folder
            parts = len(list(folder.glob("part-*")))
            while len(list(folder.glob("part-*"))) < parts + 3 + number and time.monotonic() < deadline:
                time.sleep(0.003)
            writer.send_signal(signal.SIGKILL)
        cache = FeatureCache(tmp_path, IDENTITY)
        assert check(cache, numbers) == len(cache) > known
        assert len(cache) % 7 == 0
        known = len(cache)
