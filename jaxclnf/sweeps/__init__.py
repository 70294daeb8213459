"""Searching for better settings of a fit: a specification, its run, and a report of the results."""
