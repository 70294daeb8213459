"""What a run leaves: tables, pictures, reports; and the runs of photos and videos that fill them."""
