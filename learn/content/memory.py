"""Whether a failure of a forward pass means that the memory was too small for it."""

from __future__ import annotations

import torch

from learn.errors import EncoderError


def memory_is_short(fault: BaseException) -> bool:
    """Whether it is a failed allocation, of Python's, of torch's on a processor, or on a GPU."""
    if isinstance(fault, MemoryError | torch.OutOfMemoryError):
        return True
    # torch has no class of its own for a failed allocation on a processor.
    said = str(fault)
    return isinstance(fault, RuntimeError) and ("can't allocate memory" in said or "could not create a memory" in said)


def no_memory(tokens: int) -> EncoderError:
    """The error for a text that is too much by itself."""
    return EncoderError(
        f"The memory does not suffice for one text of {tokens} tokens.",
        where="content.max_tokens",
        fix="lower `content.max_tokens` or `content.threads`, or take a smaller encoder",
    )
