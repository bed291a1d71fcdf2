"""A kernel's way from Python to machine code, by numba; imported only where no machine code is kept yet.

Here: typing, the entry that other processes can call without numba, and the instructions that kernels name (`jit.read64` and
its like). Not here: keeping and loading machine code (`jit`).
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ddd_llm.corpus.dedup import jit

# Without numba's runtime no kernel can allocate, and none needs numba to run.
_OPTIONS: dict[str, Any] = {
    "nogil": True, "error_model": "numpy", "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True,
}  # fmt: skip
_made: dict[jit.Kernel[..., Any], Any] = {}


def compile_kernel(kernel: jit.Kernel[..., Any], arguments: tuple[Any, ...]) -> bytes:
    """Machine code of an entry `f(result address, error address, block address)` that calls `kernel`.

    The block holds the arguments as `jit` packs them. The code is preceded by a line with the entry's symbol and one with
    the kind of its result (`int64`, `float64` or `none`).

    Raises:
        numba.core.errors.NumbaError: the function cannot be compiled.
    """
    source, scope, words = _reading(arguments)
    lines = [
        "def entry(block):",
        f"    whole = view(block, ({words},), int64)",
        f"    real = view(block, ({words},), float64)",
        f"    natural = view(block, ({words},), uint64)",
        f"    return kernel({', '.join(source)})",
    ]
    scope |= {"kernel": _dispatcher(kernel), "view": _view}
    scope |= {"int64": types.int64, "float64": types.float64, "uint64": types.uint64}
    exec("\n".join(lines), scope)
    entry = numba.njit(**_OPTIONS)(scope["entry"])
    entry.compile((types.int64,))
    made = entry.overloads[entry.signatures[0]]
    returned = str(made.signature.return_type)
    if returned not in ("int64", "float64", "none"):
        raise TypeError(
            f"kernel {kernel.function.__qualname__} returns {returned}: int64, float64 or nothing are taken"
        )
    machine = made.library._codegen._tm.emit_object(made.library._final_module)
    return b"\n".join((made.fndesc.llvm_func_name.encode(), returned.encode(), machine))


def _dispatcher(kernel: jit.Kernel[..., Any]) -> Any:
    # The function in the eyes of numba: its globals with what stands for kernels and instructions replaced by them.
    if kernel not in _made:
        function = cast(FunctionType, kernel.function)
        scope = {
            name: _dispatcher(value)
            if isinstance(value, jit.Kernel)
            else _INSTRUCTIONS.get(value, value)
            if isinstance(value, FunctionType)
            else value
            for name, value in function.__globals__.items()
            if name in function.__code__.co_names
        }
        _made[kernel] = numba.njit(**_OPTIONS)(FunctionType(function.__code__, scope, function.__name__))
    return _made[kernel]


def _reading(arguments: tuple[Any, ...]) -> tuple[list[str], dict[str, Any], int]:
    # How each argument is read from the block, the names that takes, and the block's size in words.
    names: dict[str, Any] = {}
    used = 0

    def read(argument: Any) -> str:
        nonlocal used
        at = used
        if isinstance(argument, np.ndarray):
            used += 1 + argument.ndim
            dtype = argument.dtype.name
            names[dtype] = types.boolean if dtype == "bool" else getattr(types, dtype)
            shape = ", ".join(f"whole[{at + 1 + axis}]" for axis in range(argument.ndim))
            return f"view(whole[{at}], ({shape},), {dtype})"
        if isinstance(argument, tuple):
            names[type(argument).__name__] = type(argument)
            return f"{type(argument).__name__}({', '.join(map(read, argument))})"
        if argument is None:
            return "None"
        used += 1
        block = {"int64": "whole", "float64": "real", "uint64": "natural"}[jit.scalar(argument)[0]]
        return f"{block}[{at}]"

    return [read(argument) for argument in arguments], names, max(1, used)


@intrinsic
def _view(_context, address, shape, dtype):
    # The C-contiguous array at an address. (numba.carray is a function that returns an array, which takes numba's runtime.)
    def generate(context, builder, signature, arguments):
        kind = signature.return_type
        array = context.make_array(kind)(context, builder)
        sizes = cgutils.unpack_tuple(builder, arguments[1])
        width = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        strides = [width]
        for size in reversed(sizes[1:]):
            strides.insert(0, builder.mul(strides[0], size))
        data = builder.inttoptr(arguments[0], array.data.type)
        populate_array(array, data=data, shape=sizes, strides=strides, itemsize=width, meminfo=None)
        return array._getvalue()

    return types.Array(dtype.dtype, len(shape), "C")(address, shape, dtype), generate


@intrinsic
def _read64(_context, data, index):
    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.int64), generate


@intrinsic
def _count_ones(_context, word):
    return types.int64(types.uint64), lambda context, builder, signature, arguments: builder.ctpop(arguments[0])


@intrinsic
def _trailing_zeros(_context, word):
    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


_INSTRUCTIONS: dict[Callable[..., Any], Any] = {
    jit.read64: _read64,
    jit.count_ones: _count_ones,
    jit.trailing_zeros: _trailing_zeros,
}
