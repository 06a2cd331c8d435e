"""A model as others use it: through MLflow, rows in and facets out."""
