"""Benchmarks: ``nextclick bench``."""
