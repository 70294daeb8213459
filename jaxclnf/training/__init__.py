"""What learns: a PDM and patch experts from annotated faces."""
