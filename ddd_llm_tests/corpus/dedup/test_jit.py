"""Kernels compile where no folder can hold compiled code."""

from ddd_llm.corpus.dedup.jit import kernel


def test_kernel_without_a_place_for_its_cache() -> None:
    scope: dict = {}
    source_file = "/nowhere/at/all.py"
    exec(compile("def double(x):\n    return 2 * x", source_file, "exec"), scope)
    assert kernel(scope["double"])(21) == 42
