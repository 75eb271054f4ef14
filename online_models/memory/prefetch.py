"""Prefetching: a list of places is read at once, before it is worked on.

Tables are far larger than the processor's caches. A loop that follows one place after another
waits for each; asking for all of them first lets these waits overlap.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

READ, KEEP, DATA = 0, 3, 1
"""LLVM's arguments: for reading, to be kept in all caches, data and not instructions."""


@intrinsic
def prefetch(typing_context: Any, array: Any, place: Any) -> Any:
    """``prefetch(array, place)`` has the cache line of ``array[place]`` loaded, without waiting.

    Only a hint: it changes nothing, and any place will do.
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
