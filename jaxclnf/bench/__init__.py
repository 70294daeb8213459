"""Benchmarks of fits and whole runs: cases to time, the machine's limits, tables, JSON and plots."""
