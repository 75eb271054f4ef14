"""Flat, bounded memory: limits, tables, the state passed to kernels, and small algorithms on it."""
