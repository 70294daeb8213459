"""What a model is on disk: our .npz, OpenFace's files, installed models; and what is known of one model."""
