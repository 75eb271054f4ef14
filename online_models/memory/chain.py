"""One kernel that calls a declared list of kernels in order.

Numba cannot compile a loop over different functions and still cache it on disk. So the source of
the calls is generated from the declaration: direct calls, which the compiler may inline.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from numba import njit

Kernel = Any
"""A function compiled by numba whose first argument is the `State`."""


def _compiled(name: str, module: str, source: str, functions: dict[str, Kernel]) -> Kernel:
    # Numba's cache looks at the file that a function claims to come from, and imports that module
    # when it loads the machine code.
    code = compile(source, str(sys.modules[module].__file__), "exec")
    names: dict[str, Any] = {**functions, "__name__": module}
    exec(code, names)
    return njit(cache=True)(names[name])


def in_order(
    name: str,
    module: str,
    calls: Sequence[tuple[Kernel, tuple[int, ...]]],
    wanted: Kernel | None = None,
) -> Kernel:
    """Return a kernel ``name(st)`` that calls ``kernel(st, *arguments)``, one after the other.

    Parameters
    ----------
    name
        Name of the kernel, unique in its module.
    module
        ``__name__`` of the module that declares the list.
    calls
        Kernels, each with the integers that it gets after the state.
    wanted
        If given, a kernel is called only if ``wanted(st, place)`` is true for its place in the
        list.
    """
    lines = [f"def {name}(st):"]
    functions: dict[str, Kernel] = {"wanted": wanted}
    for place, (kernel, arguments) in enumerate(calls):
        functions[f"kernel_{place}"] = kernel
        call = f"kernel_{place}(st{''.join(f', {a}' for a in arguments)})"
        lines.append(f"    if wanted(st, {place}): {call}" if wanted is not None else f"    {call}")
    return _compiled(name, module, "\n".join([*lines, "    return"]), functions)


def first_that(name: str, module: str, kernels: Sequence[Kernel]) -> Kernel:
    """Return a kernel ``name(st)``: the place of the first kernel that returns true, or -1."""
    lines = [f"def {name}(st):"]
    lines += [f"    if kernel_{p}(st): return {p}" for p in range(len(kernels))]
    functions = {f"kernel_{p}": kernel for p, kernel in enumerate(kernels)}
    return _compiled(name, module, "\n".join([*lines, "    return -1"]), functions)


def by_place(name: str, module: str, kernels: Sequence[Kernel]) -> Kernel:
    """Return a kernel ``name(st, place)`` that calls the kernel at ``place``."""
    lines = [f"def {name}(st, place):"]
    lines += [f"    if place == {p}: return kernel_{p}(st)" for p in range(len(kernels))]
    functions = {f"kernel_{p}": kernel for p, kernel in enumerate(kernels)}
    return _compiled(name, module, "\n".join([*lines, "    return False"]), functions)


def over_places(name: str, module: str, kernels: Sequence[Kernel]) -> Kernel:
    """Return a kernel ``name(st, which, first, end)``: calls one kernel for each place."""
    lines = [f"def {name}(st, which, first, end):"]
    for p in range(len(kernels)):
        lines.append(f"    if which == {p}:")
        lines.append(f"        for place in range(first, end): kernel_{p}(st, place)")
    functions = {f"kernel_{p}": kernel for p, kernel in enumerate(kernels)}
    return _compiled(name, module, "\n".join([*lines, "    return"]), functions)
