"""The results of a run (tables, pictures, reports), and the runs on photos and videos that make them."""
