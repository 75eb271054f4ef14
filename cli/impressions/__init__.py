"""Logged answers, joined with the clicks that came of them, as pages to judge policies by."""
