"""Flat, bounded memory: limits, tables, the state that kernels get, and small algorithms on it."""
