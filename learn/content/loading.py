"""Load a model and its tokenizer from a folder, or fail with one clear error."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from learn.content.source import EncoderSource
from learn.errors import EncoderError

_LOADING = threading.Lock()
_COUNT_FROM_BEHIND_PADDING = ("roberta", "camembert", "mpnet", "data2vec-text", "longformer", "xmod")


@dataclass(frozen=True)
class LoadedModel:
    """A transformers model, frozen, and its tokenizer.

    Attributes:
        model: Computes the token states.
        tokenizer: Truncates texts at their end.
        dimension: Width c of its token states.
        longest: Most tokens that it can read.
        where: The model's folder.
    """

    model: Any
    tokenizer: Any
    dimension: int
    longest: int
    where: Path


def load_model(source: EncoderSource, *, dtype: torch.dtype, device: str) -> LoadedModel:
    """Load an encoder from this machine, without any download.

    Args:
        source: Where the encoder is, and whether its own Python code may run.
        dtype: Data type of the weights and the computation.
        device: ``cpu`` or ``cuda``.

    Raises:
        EncoderError: It is incomplete, its kind gives no vector for a text, or it needs its own code to run.
    """
    # transformers changes settings of the whole process while it loads.
    with _LOADING:
        tokenizer = _load_part(transformers.AutoTokenizer, source)
        model = _load_complete_model(source, dtype=dtype)
    if model.config.is_encoder_decoder:
        raise EncoderError(
            f"`{model.config.model_type}` is an encoder-decoder model, which gives no vector for a text.",
            where=source.folder,
            fix="use an encoder (BERT and the like) or a decoder-only model",
        )
    # A long text is cut at its end, whatever the model was trained with, because the title comes first.
    tokenizer.truncation_side = "right"
    # Nobody continues these texts, so their cached keys and values would waste memory.
    model.config.use_cache = False
    model = model.eval().requires_grad_(False).to(device)
    return LoadedModel(
        model, tokenizer, _read_width(model, source), _read_max_tokens(model.config, tokenizer), source.folder
    )


def _load_part(kind: Any, source: EncoderSource, **options: Any) -> Any:
    try:
        return kind.from_pretrained(
            str(source.folder), local_files_only=True, trust_remote_code=source.runs_own_code, **options
        )
    except Exception as fault:  # transformers passes on any error of any library
        reason = str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
        if not source.runs_own_code and _brings_code(source.folder):
            raise EncoderError(
                "This encoder includes its own Python code, which LEARN does not run without your consent.",
                where=source.folder,
                fix="read its code, then set `content.trust_remote_code` to the same name as `content.encoder`",
            ) from fault
        raise EncoderError(
            f"The encoder cannot be loaded: {reason}",
            where=source.folder,
            fix="save the model and its tokenizer again with transformers' save_pretrained",
        ) from fault


def _brings_code(folder: Path) -> bool:
    for name in ("config.json", "tokenizer_config.json"):
        try:
            if "auto_map" in json.loads((folder / name).read_text(encoding="utf-8")):
                return True
        except (OSError, ValueError):
            continue
    return False


def _load_complete_model(source: EncoderSource, *, dtype: torch.dtype) -> Any:
    loading_bars: Any = transformers.utils.logging
    loading_bars.disable_progress_bar()
    model, report = _load_part(
        transformers.AutoModel, source, dtype=dtype, use_safetensors=True, output_loading_info=True
    )
    # A pooler is not used here. Any other missing weight would be random, and so would the vectors.
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise EncoderError(
            f"{len(missing)} of the encoder's weights are missing, for example {missing[0]}.",
            where=source.folder,
            fix="save the model again with save_pretrained",
        )
    return model


@torch.inference_mode()
def _read_width(model: Any, source: EncoderSource) -> int:
    try:
        states = model(input_ids=torch.zeros((1, 2), dtype=torch.int64, device=model.device)).last_hidden_state
        return int(states.shape[-1])
    except (AttributeError, TypeError, ValueError, KeyError) as fault:
        raise EncoderError(
            f"`{model.config.model_type}` gives no token states for a text.",
            where=source.folder,
            fix="use a text encoder (BERT and the like) or a decoder-only model",
        ) from fault


def _read_max_tokens(config: Any, tokenizer: Any) -> int:
    positions = int(getattr(config, "max_position_embeddings", None) or 1 << 30)
    # These models count positions from after the padding token's.
    if any(kin in config.model_type for kin in _COUNT_FROM_BEHIND_PADDING):
        positions -= (config.pad_token_id or 0) + 1
    return min(positions, int(tokenizer.model_max_length))
