"""Runs on many machines: inputs in shards, workers on Ray, parts written whole, a ledger to go on from."""
