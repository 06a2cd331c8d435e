"""A small convolutional VQ-VAE: a picture becomes grid x grid codes, and codes become a picture again.

Source: van den Oord, Vinyals, Kavukcuoglu. "Neural Discrete Representation Learning." NeurIPS 2017: codes by nearest
vector (equations 1-2), gradients passed straight through, commitment loss (equation 3), vectors as moving averages of
what chose them (appendix A.1). Vectors that nothing chooses begin anew as something that the encoder just gave
(random restarts; Dhariwal et al. "Jukebox." 2020, section 3).

Shapes: P pictures, S pixels a side, G grid, D width of a vector, K codes, N = P * G * G parts of pictures.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from facetmill.errors import ParamsError

HIDDEN = 64
CODE_SIZE = 32  # D
DECAY = 0.95  # of the moving averages, by step; small catalogues train for few steps
DEAD = 0.1  # of even use; a vector that is chosen less begins anew
COMMITMENT = 0.25  # beta in equation 3


class VqNetwork(nn.Module):
    """Encoder, vectors and decoder. Raises `ParamsError` unless `size` is `grid` times a power of two, at least 2."""

    vector_KD: Tensor
    use_K: Tensor
    sum_KD: Tensor

    def __init__(self, size: int, grid: int, num_codes: int) -> None:
        super().__init__()
        steps = log2(size / grid)
        if steps < 1 or not steps.is_integer():
            raise ParamsError(
                f"visual_tokens.image_size = {size} must be visual_tokens.grid = {grid} times 2, 4, 8, or so on"
            )
        self.size, self.grid, self.num_codes = size, grid, num_codes
        # half as wide where there are most pixels, which is where the time goes
        widths = [3, *([HIDDEN // 2] if steps > 1 else []), *([HIDDEN] * max(1, int(steps) - 1))]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for step in range(int(steps)):
            down += [nn.Conv2d(widths[step], widths[step + 1], 4, stride=2, padding=1), nn.ReLU()]
            up = [nn.ReLU(), nn.ConvTranspose2d(widths[step + 1], widths[step], 4, stride=2, padding=1), *up]
        self.encoder = nn.Sequential(*down, _Residual(), nn.Conv2d(HIDDEN, CODE_SIZE, 1))
        self.decoder = nn.Sequential(nn.Conv2d(CODE_SIZE, HIDDEN, 3, padding=1), _Residual(), *up)
        # Nothing has chosen any vector yet, so the first batch gives all of them.
        self.register_buffer("vector_KD", torch.zeros(num_codes, CODE_SIZE))
        self.register_buffer("use_K", torch.zeros(num_codes))
        self.register_buffer("sum_KD", torch.zeros(num_codes, CODE_SIZE))

    def encode(self, pixels_PCSS: Tensor) -> Tensor:
        """The codes [P,G,G] of RGB pixels (uint8, 0..255)."""
        return self._nearest(self._parts(pixels_PCSS)).reshape(-1, self.grid, self.grid)

    def decode(self, code_PGG: Tensor) -> Tensor:
        """Pictures [P,3,S,S] as shares of full brightness (0..1)."""
        return self._picture(self.vector_KD[code_PGG.flatten()]).clamp(0, 1)

    def loss(self, pixels_PCSS: Tensor, generator: torch.Generator) -> Tensor:
        """Squared error of the picture made of codes (of shares 0..1) plus what keeps the encoder near its vectors.

        In training mode it moves the vectors too; `generator` says what dead ones become.
        """
        part_ND = self._parts(pixels_PCSS)
        if self.training:
            self._move_vectors(part_ND.detach(), generator)
        chosen_ND = self.vector_KD[self._nearest(part_ND)]
        commitment = functional.mse_loss(part_ND, chosen_ND)
        straight_ND = part_ND + (chosen_ND - part_ND).detach()
        return functional.mse_loss(self._picture(straight_ND), pixels_PCSS.float() / 255) + COMMITMENT * commitment

    def _parts(self, pixels_PCSS: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(pixels_PCSS.float() / 127.5 - 1)
        return encoded.permute(0, 2, 3, 1).reshape(-1, CODE_SIZE)

    def _nearest(self, part_ND: Tensor) -> Tensor:
        """The number of the vector nearest to each part (equation 1), by |v|^2 - 2 v p: |p|^2 is the same for all."""
        return (self.vector_KD.square().sum(1) - 2 * part_ND @ self.vector_KD.T).argmin(1)

    def _picture(self, vector_ND: Tensor) -> Tensor:
        grid_PDGG = vector_ND.reshape(-1, self.grid, self.grid, CODE_SIZE).permute(0, 3, 1, 2)
        picture: Tensor = self.decoder(grid_PDGG)
        return picture + 0.5

    @torch.no_grad()
    def _move_vectors(self, part_ND: Tensor, generator: torch.Generator) -> None:
        dead_K = self.use_K <= DEAD * len(part_ND) / self.num_codes
        anew_KD = part_ND[torch.randint(len(part_ND), (self.num_codes,), generator=generator)]
        self.vector_KD.copy_(torch.where(dead_K[:, None], anew_KD, self.vector_KD))
        # as if it had been chosen as often as the others
        even_K = torch.full_like(self.use_K, len(part_ND) / self.num_codes)
        use_K = torch.where(dead_K, even_K, self.use_K)
        sum_KD = torch.where(dead_K[:, None], anew_KD * even_K[:, None], self.sum_KD)
        chosen_NK = functional.one_hot(self._nearest(part_ND), self.num_codes).to(part_ND.dtype)
        self.use_K.copy_(DECAY * use_K + (1 - DECAY) * chosen_NK.sum(0))
        self.sum_KD.copy_(DECAY * sum_KD + (1 - DECAY) * chosen_NK.T @ part_ND)
        self.vector_KD.copy_(self.sum_KD / self.use_K[:, None])


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.ReLU(), nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1), nn.ReLU(), nn.Conv2d(HIDDEN, HIDDEN, 1)
        )

    def forward(self, state_PHGG: Tensor) -> Tensor:
        changed: Tensor = state_PHGG + self.change(state_PHGG)
        return changed
