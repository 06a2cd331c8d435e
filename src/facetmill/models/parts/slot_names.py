"""The names of all slots as one text, in which each can see the others: [CLS] [SLOT] name [SLOT] name ... [SEP].

Source: MuJo-SF, section III-C1; the state at a slot's own token is its global representation. Names that are too many
for one window of the encoder are several.

Shapes: S slots, W windows, J tokens of one with specials and padding, I width of the encoder's embeddings, E of the
encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from facetmill.encoders.text import TextEncoder
from facetmill.encoders.tokens import Tokenizer


class SlotNames(nn.Module):
    """Each slot's token is the tokenizer's mask and what is learned of that slot."""

    ids_WJ: Tensor
    mask_WJ: Tensor
    row_S: Tensor
    column_S: Tensor

    def __init__(self, names: Sequence[str], tokenizer: Tokenizer, window: int, embedding_width: int) -> None:
        super().__init__()
        self.mark_SI = nn.Parameter(0.02 * torch.randn(len(names), embedding_width))  # as BERT's embeddings begin
        pieces = [[tokenizer.mask_id, *name.ids[: window - 1]] for name in tokenizer.encode(names)]
        self.num_cut = sum(len(name.ids) > window - 1 for name in tokenizer.encode(names))
        rows: list[list[int]] = [[]]
        places: list[tuple[int, int]] = []
        for piece in pieces:
            if rows[-1] and len(rows[-1]) + len(piece) > window:
                rows.append([])
            places.append((len(rows) - 1, 1 + len(rows[-1])))
            rows[-1] += piece
        framed = [torch.tensor([tokenizer.cls_id, *row, tokenizer.sep_id]) for row in rows]
        row_S, column_S = torch.tensor(places, dtype=torch.int64).reshape(-1, 2).unbind(1)
        ids_WJ = pad_sequence(framed, batch_first=True, padding_value=tokenizer.pad_id)
        mask_WJ = pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in framed], batch_first=True)
        for name, tensor in {"ids_WJ": ids_WJ, "mask_WJ": mask_WJ, "row_S": row_S, "column_S": column_S}.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, encoder: TextEncoder) -> Tensor:
        """The global representation of each slot. [S,E]"""

        def marked(embedded_WJI: Tensor) -> Tensor:
            mark_WJI = torch.zeros_like(embedded_WJI)
            return embedded_WJI + mark_WJI.index_put((self.row_S, self.column_S), self.mark_SI.to(mark_WJI.dtype))

        states_WJE, _, _ = encoder.layers(self.ids_WJ, self.mask_WJ, torch.zeros_like(self.ids_WJ), marked)
        return states_WJE[self.row_S, self.column_S]
