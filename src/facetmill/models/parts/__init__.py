"""Blocks that two models share."""
