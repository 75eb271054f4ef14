"""The longest single call of a piece of work that no other thread can interrupt."""

import sys
import time

RELEASING = frozenset({"write", "read", "open", "close", "fsync", "crc32"})
"""C functions that let other threads run meanwhile."""

ATTEMPTS = 3


class _Watch:
    """Notes the processor time between two bytecodes: only there can Python switch threads."""

    def __init__(self):
        self.longest = (0, "")
        self._before = (0, "")
        self._released = self._entered = 0

    def trace(self, frame, event, arg):
        now = time.thread_time_ns()
        if event == "opcode":
            began, where = self._before
            if where:
                self.longest = max(self.longest, (now - began - self._released, where))
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            self._released = 0
            self._before = time.thread_time_ns(), where
        elif event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.trace

    def profile(self, frame, event, arg):
        if event == "c_call" and arg.__name__ in RELEASING:
            self._entered = time.thread_time_ns()
        elif event == "c_return" and arg.__name__ in RELEASING:
            self._released += time.thread_time_ns() - self._entered


def longest_call(work):
    """Return the most processor time in ms between two bytecodes of ``work()``, and where.

    The least of some attempts: on a busy machine, a call may find no cache warm.
    """
    return min(_watched(work) for _ in range(ATTEMPTS))


def _watched(work):
    watch = _Watch()
    traced, profiled = sys.gettrace(), sys.getprofile()
    sys.settrace(watch.trace)
    sys.setprofile(watch.profile)
    try:
        work()
    finally:
        sys.setprofile(profiled)
        sys.settrace(traced)
    took, where = watch.longest
    return took / 1e6, where
