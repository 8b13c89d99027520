"""Tiny models with random weights, of every shape that LEARN is tested with, saved as transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
)

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.:"
_SIZES: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "pad_token_id": 0,
}  # fmt: skip
_POSITIONS: dict[str, Any] = {"max_position_embeddings": 48}

BIDIRECTIONAL: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**_SIZES, **_POSITIONS),
    # These count positions from behind the padding token's; MPNet's is 1 whatever the configuration says.
    "roberta": RobertaConfig(**_SIZES, max_position_embeddings=49),
    "mpnet": MPNetConfig(**_SIZES, max_position_embeddings=50),
    # Every other layer looks at its neighbours alone.
    "modernbert": ModernBertConfig(
        **_SIZES, **_POSITIONS, local_attention=8, layer_types=["full_attention", "sliding_attention"], cls_token_id=2,
        sep_token_id=3, bos_token_id=2, eos_token_id=3,
    ),
}  # fmt: skip
DECODERS: dict[str, PreTrainedConfig] = {
    # Baichuan 7B has this shape too, with its query, key and value weights in one.
    "llama": LlamaConfig(**_SIZES, **_POSITIONS, num_key_value_heads=2),
    "mistral": MistralConfig(**_SIZES, **_POSITIONS, num_key_value_heads=2, head_dim=8, sliding_window=16),
    "qwen2": Qwen2Config(**_SIZES, **_POSITIONS, num_key_value_heads=2),
    "qwen3": Qwen3Config(**_SIZES, **_POSITIONS, num_key_value_heads=2, head_dim=8),
}


def save_bert(folder: Path, *, seed: int = 0) -> Path:
    return save_shape("bert", folder, seed=seed)


def save_llama(folder: Path, *, seed: int = 0) -> Path:
    return save_shape("llama", folder, seed=seed)


def save_shape(shape: str, folder: Path, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    models_by_configuration: Any = AutoModel
    models_by_configuration.from_config({**BIDIRECTIONAL, **DECODERS}[shape]).save_pretrained(folder)
    _tokenizer(marks=shape in BIDIRECTIONAL).save_pretrained(folder)
    return folder


def _tokenizer(*, marks: bool) -> Any:
    """One token a letter; with a token before and behind the text, or without."""
    vocabulary = {token: number for number, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_LETTERS])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text, no password
    plain.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", behavior="isolated")]
    )
    if marks:
        plain.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "eos_token": "[SEP]"}
    if marks:
        special |= {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=plain, model_max_length=48, **special)
