"""How this package compiles its kernels, and how a process gets at compiled ones.

Here: the one decorator every kernel wears, the cache of machine code, and loading it. Not here: any kernel, and compiling
(`jit_compile`).

Numba compiles a kernel at its first call with arguments of some types. The machine code is kept on disk beside the module,
else in the user's cache folder (NUMBA_CACHE_DIR overrides both), and later processes load it by LLVM alone: to import
numba takes longer than to deduplicate ten thousand documents. Where no folder can be written, each process compiles anew.

What a kernel is: a function of C-contiguous arrays, named tuples of them, integers and floats (None stands for an absent
array) that allocates nothing, raises nothing, and returns an integer, a float or nothing. Integer arithmetic wraps, bounds
are not checked, the GIL is released. The cache notices a change of the file that a kernel stands in and of no other file:
so a kernel never calls a kernel, nor reads a global constant, of another module; data passes between modules in arrays.
"""

import ctypes
import hashlib
import os
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from numbers import Integral
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

import llvmlite
import llvmlite.binding as llvm
import numpy as np

P = ParamSpec("P")
R = TypeVar("R")
_ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_RAISED = -1  # numba's other negative results are not errors
_SEAL = hashlib.blake2b().digest_size


class Kernel(Generic[P, R]):
    """A function that is compiled at its first call per types of arguments.

    Raises (when called):
        TypeError: an argument that no kernel can take, such as an array that is not C-contiguous.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self._entries: dict[str, Callable[[bytes], Any]] = {}

    def __call__(self, *arguments: P.args, **_: P.kwargs) -> R:
        kinds: list[str] = []
        layout: list[str] = []
        values: list[Any] = []
        for argument in arguments:
            _take(argument, kinds, layout, values)
        key = " ".join(kinds)
        entry = self._entries.get(key) or self._made(key, arguments)
        return entry(struct.pack("".join(layout), *values))

    def _made(self, key: str, arguments: tuple[Any, ...]) -> Callable[[bytes], Any]:
        with _LOCK:
            if key not in self._entries:
                self._entries[key] = _entry(self, key, arguments)
            return self._entries[key]


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """`function`, compiled; its module's docstring says what it may do."""
    return Kernel(function)


def read64(data: Any, index: Any) -> Any:
    """The little-endian 64-bit word at byte `index` of a uint8 array, unaligned; in a kernel one instruction."""
    return np.uint64(int.from_bytes(data[index : index + 8].tobytes(), "little"))


def count_ones(word: Any) -> Any:
    """How many bits of a 64-bit word are set; in a kernel one instruction."""
    return int(word).bit_count()


def trailing_zeros(word: Any) -> Any:
    """How many bits of a 64-bit word are below the lowest one that is set, 64 if none is; in a kernel one instruction."""
    return (int(word) & -int(word)).bit_length() - 1 if word else 64


_LOCK = threading.RLock()
_ENGINES: list[llvm.ExecutionEngine] = []  # they own the machine code


def _take(argument: Any, kinds: list[str], layout: list[str], values: list[Any]) -> None:
    # What the argument is, and how it is handed over: an array as its address and shape, in 64-bit words.
    if isinstance(argument, np.ndarray):
        if not (argument.flags.c_contiguous and argument.dtype.isnative):
            raise TypeError("kernels take C-contiguous arrays in the machine's byte order only")
        kinds.append(f"{argument.dtype.name}:{argument.ndim}")
        layout.append("q" * (1 + argument.ndim))
        values += (argument.ctypes.data, *argument.shape)
    elif isinstance(argument, tuple) and hasattr(argument, "_fields"):
        kinds.append(f"{type(argument).__name__}(")
        for field in argument:
            _take(field, kinds, layout, values)
        kinds.append(")")
    elif argument is None:
        kinds.append("none")
    else:
        kind, form = scalar(argument)
        kinds.append(kind)
        layout.append(form)
        values.append(argument)


def scalar(argument: Any) -> tuple[str, str]:
    """A number's kind and how `struct` packs it. Raises TypeError: not a number that kernels take."""
    if isinstance(argument, np.generic) and argument.dtype == np.uint64:
        return "uint64", "Q"
    if isinstance(argument, Integral):
        return "int64", "q"
    if isinstance(argument, float):
        return "float64", "d"
    raise TypeError(f"kernels do not take {type(argument).__name__}")


def _entry(compiled: Kernel[..., Any], key: str, arguments: tuple[Any, ...]) -> Callable[[bytes], Any]:
    # Machine code begins with the name of its function and what the function returns.
    code = _cached(compiled.function, key)
    if code is None:
        from ddd_llm.corpus.dedup.jit_compile import compile_kernel

        code = compile_kernel(compiled, arguments)
        _keep(compiled.function, key, code)
    name, kind, machine = code.split(b"\n", 2)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine))
    engine.finalize_object()
    _ENGINES.append(engine)
    function = _ENTRY(engine.get_function_address(name.decode()))
    result = {b"int64": ctypes.c_int64, b"float64": ctypes.c_double, b"none": ctypes.c_int64}[kind]

    def call(block: bytes) -> Any:
        found, raised = result(), ctypes.c_void_p()
        status = function(ctypes.addressof(found), ctypes.addressof(raised), block)
        if status > 0 or status == _RAISED:
            raise RuntimeError(f"kernel {compiled.function.__qualname__} failed with status {status}")
        return None if kind == b"none" else found.value

    return call


@cache
def _machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(jit=True)


@cache
def _made_by() -> str:
    # All that decides what a kernel's source becomes.
    features = llvm.get_host_cpu_features().flatten()
    versions = [llvmlite.__version__, metadata.version("numba"), np.__version__]
    own = [Path(__file__).read_text(), Path(__file__).with_name("jit_compile.py").read_text()]
    return "\0".join([*versions, *own, llvm.get_host_cpu_name(), features])


def _places(function: Callable[..., Any], key: str) -> Iterator[Path]:
    # Where a kernel's machine code may be: none if its source is not there to tell whether it changed.
    source = Path(function.__code__.co_filename)
    try:
        told = "\0".join((_made_by(), source.read_text(), function.__qualname__, key))
    except OSError:
        return
    kinds, digest = (hashlib.blake2b(one.encode(), digest_size=8).hexdigest() for one in (key, told))
    name = f"{source.stem}.{function.__name__}.{kinds}.{digest}.o"
    if folder := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(folder) / name
        return
    yield source.parent / "__pycache__" / name
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    yield Path(home) / "ddd_llm" / name


def _cached(function: Callable[..., Any], key: str) -> bytes | None:
    for place in _places(function, key):
        try:
            kept = place.read_bytes()
        except OSError:
            continue
        if hashlib.blake2b(kept[_SEAL:]).digest() == kept[:_SEAL]:
            return kept[_SEAL:]
    return None


def _keep(function: Callable[..., Any], key: str, code: bytes) -> None:
    for place in _places(function, key):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}-", delete=False) as file:
                file.write(hashlib.blake2b(code).digest() + code)
            os.replace(file.name, place)
            if place.parent.name == "__pycache__":  # of this checkout alone: what the kernel was before is of no use
                for old in place.parent.glob(f"{place.name.rsplit('.', 2)[0]}.*.o"):
                    if old != place:
                        old.unlink(missing_ok=True)
        except OSError:
            continue
        return
