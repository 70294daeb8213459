"""Many faces: canvases of a few sizes, cores, devices, work that overlaps."""
