"""Training of models from annotated faces: a PDM, patch experts, networks, and the calibration."""
