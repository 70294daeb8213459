"""A fit, as pure functions: starts, response maps, mean shift, stages, parts, the choice among tries."""
