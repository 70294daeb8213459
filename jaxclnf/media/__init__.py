"""Photos and videos: what a run is given, decoded to pixels; faces found in them, and cut out of them."""
