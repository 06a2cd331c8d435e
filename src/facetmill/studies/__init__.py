"""Experiments whose answer is a table: what a model can do, and which part of it does it."""
