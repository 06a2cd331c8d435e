"""Scripts that put no spaces between words, as the insides of a regular expression's brackets."""

from __future__ import annotations

#: Han, Hiragana, Katakana and Hangul by Unicode block (Korean has spaces, but hangs particles on its words).
CJK = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3040-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc"
    "\U0001b000-\U0001b16f\U00020000-\U000323af"
)

#: Thai, Lao, Burmese, Khmer and their neighbours by Unicode block, digits among them.
SOUTHEAST_ASIAN = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf\U00011700-\U0001174f"
)

UNSPACED = CJK + SOUTHEAST_ASIAN
