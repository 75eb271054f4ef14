"""Prefetching: have the cache lines of a list of entries loaded before working on them.

Tables are far larger than the CPU's caches. A loop that visits one entry after another waits for
each of them; prefetching all of them first lets the waits overlap.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

READ, KEEP, DATA = 0, 3, 1
"""Arguments of LLVM's intrinsic: for reading, keep in all cache levels, data cache."""


@intrinsic
def prefetch(typing_context: Any, array: Any, place: Any) -> Any:
    """``prefetch(array, place)`` starts loading the cache line of ``array[place]``.

    It is only a hint: it does not wait, changes nothing, and any ``place`` is safe.
    """
    del typing_context
    word = ir.IntType(32)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, _ = signature.args
        view = context.make_array(kind)(context, builder, args[0])
        pointer = cgutils.get_item_pointer(context, builder, kind, view, [args[1]])
        address = builder.bitcast(pointer, cgutils.voidptr_t)
        hint = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word]),
            "llvm.prefetch.p0",
        )
        builder.call(hint, [address, word(READ), word(KEEP), word(DATA)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
