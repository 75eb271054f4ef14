"""Limits that more than one part keeps to."""

from __future__ import annotations

SESSION_STEPS = 50
"""Steps that a session record carries, and that the models keep of a session."""
