"""Models on disk: our .npz, OpenFace's files, installed models; their calibration and presets."""
