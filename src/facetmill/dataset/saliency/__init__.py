"""Visualised saliency ascription: which attributes a picture tells, found by masking their values in the text.

Source: MuJo-SF (`SYSTEMS.md` 6.2).
"""
