"""Runs on many machines: inputs in shards, workers on Ray, parts of tables, a ledger to resume from."""
