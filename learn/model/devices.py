"""The device and the arithmetic that the towers train in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from learn.config import TrainingSettings
from learn.errors import TrainingError


def choose_device(settings: TrainingSettings) -> torch.device:
    """Return the device that the settings request.

    Raises:
        TrainingError: CUDA is requested and there is none.
    """
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise TrainingError(
            "There is no CUDA device.", where="settings, `training.device`", fix="set it to `auto` or `cpu`"
        )
    return torch.device("cuda" if available and settings.device != "cpu" else "cpu")


def autocast(settings: TrainingSettings, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which forward passes run."""
    if settings.precision == "float32":
        return nullcontext()
    if settings.precision == "auto" and not computes_in_bfloat16(device):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Tell whether a device multiplies in bfloat16 natively, which ``precision = "auto"`` then takes."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # By what the processor says, not by a stop watch: the choice must be the same in every run.
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
