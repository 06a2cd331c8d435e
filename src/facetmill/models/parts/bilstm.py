"""A BiLSTM above any text encoder, for models that are made of one.

Shapes: B windows, T tokens with specials and padding, E width of the encoder, H of the BiLSTM. Masks: 1 = real.
"""

from __future__ import annotations

from torch import Tensor, nn

from facetmill.encoders.text import BiLstmEncoder, TextEncoder, both_directions
from facetmill.encoders.windows import TextBatch, text_states


class BiLstm(nn.Module):
    """One LSTM per direction; `width` is that of both together."""

    def __init__(self, encoder_width: int, hidden_size: int) -> None:
        super().__init__()
        self.width = 2 * (hidden_size // 2)
        self.forwards = nn.LSTM(encoder_width, hidden_size // 2, batch_first=True)
        self.backwards = nn.LSTM(encoder_width, hidden_size // 2, batch_first=True)

    def forward(self, states_BTE: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Token states [B,T,H], and both final states [B,H]."""
        return both_directions(self.forwards, self.backwards, states_BTE, mask_BT)


def bilstm_above(encoder: TextEncoder, hidden_size: int) -> BiLstm | None:
    """None above an encoder that is a BiLSTM itself."""
    return None if isinstance(encoder, BiLstmEncoder) else BiLstm(encoder.width, hidden_size)


def bilstm_states(text: TextBatch, encoder: TextEncoder, bilstm: BiLstm | None) -> tuple[Tensor, Tensor]:
    """Token states [B,T,H], and both final states [B,H], of the encoder or of the BiLSTM above it."""
    states_BTE, text_BE = text_states(text, encoder)
    return (states_BTE, text_BE) if bilstm is None else bilstm(states_BTE, text.mask_BT)
