"""Photos and videos: a run's inputs, decoded to pixels; detecting faces in them, and cutting faces out."""
