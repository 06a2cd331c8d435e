"""Facetmill: extract product facets, and keep the models that do it fresh."""

__version__ = "0.1.0"
