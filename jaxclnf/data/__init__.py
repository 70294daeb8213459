"""Annotated faces: reading datasets, what their points are called, errors on them."""
