"""How this package compiles its kernels.

Here: the one decorator every kernel wears. Not here: any kernel.

Compiled code is cached on disk beside the module, else in the user's cache folder (NUMBA_CACHE_DIR overrides
both), so that only the first process pays for compilation. Where none of them can be written the kernels compile anew in
each process.

The cache notices a change of the file that a kernel stands in and of no other file. So a kernel never calls a
kernel, nor reads a global constant, of another module: data passes between modules in arrays only.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar, cast


@contextmanager
def _light_start() -> Iterator[None]:
    # Numba loads all of scipy.linalg to learn whether it could compile matrix products: half of its own start. No kernel
    # here has one; whoever compiles one later makes numba import the real module then. Nor is what is being imported
    # garbage, which the collector would look for some hundred times.
    name = "scipy.linalg.cython_blas"
    absent, collecting = name not in sys.modules, gc.isenabled()
    if absent:
        sys.modules[name] = ModuleType(name)
    gc.disable()
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]
        if collecting:
            gc.enable()


with _light_start():
    import numba
    import numba.np.arraymath  # the part of numba that loads scipy.linalg

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """`function`, compiled at its first call: releases the GIL, integer arithmetic wraps, divisions do not raise."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return cast(Function, numba.njit(cache=True, **options)(function))
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(Function, numba.njit(**options)(function))
