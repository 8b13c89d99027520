"""Does torch.compile pay for the user tower's blocks? ``python -m benchmarks.compiled_block [cpu|cuda]``.

Prints the median milliseconds of a forward and backward pass over batches as training makes them, eager and compiled.
"""

from __future__ import annotations

from learn.environment import configure_process

configure_process()

import sys  # noqa: E402  # the libraries read the environment when they are imported
import time  # noqa: E402  # as above
from statistics import median  # noqa: E402  # as above

import torch  # noqa: E402  # as above

from benchmarks.harness.provenance import describe_machine, list_versions, read_commit  # noqa: E402  # as above
from learn.config import TowerSettings  # noqa: E402  # as above
from learn.model import Block  # noqa: E402  # as above

_POSITIONS, _LENGTHS, _PASSES = 512, range(6, 14), 60


def main(device: str) -> None:
    """Measure both, in one process and in turn."""
    settings = TowerSettings()
    torch.manual_seed(0)
    eager, compiled = (
        Block(settings.dimension, heads=settings.heads, dropout=settings.dropout).to(device).train() for _ in range(2)
    )
    compiled.compile(dynamic=True)
    began = time.perf_counter()
    _time_milliseconds(compiled, device=device)
    first = time.perf_counter() - began
    for _ in range(2):
        print(f"eager    {median(_time_milliseconds(eager, device=device) for _ in range(_PASSES)):.1f} ms")
        print(f"compiled {median(_time_milliseconds(compiled, device=device) for _ in range(_PASSES)):.1f} ms")
    print(f"compiling took {first:.1f} s; {describe_machine()}, {list_versions()['torch']}, commit {read_commit()}")


def _time_milliseconds(block: Block, *, device: str) -> float:
    spent = []
    for length in _LENGTHS:
        inputs = torch.randn(_POSITIONS // length, length, block.projections.in_features, device=device)  # (B, T, w)
        began = _read_clock(device)
        block(inputs.requires_grad_()).square().sum().backward()
        spent.append(_read_clock(device) - began)
    return 1e3 * median(spent)


def _read_clock(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["cpu"]))
