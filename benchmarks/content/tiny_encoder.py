"""A BERT of one small layer with random weights, and a catalogue of synthetic titles for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

WORDS = [
    *("bolt", "nut", "drill", "saw", "hammer", "red", "blue", "large", "small", "steel", "brass", "set", "of", "the"),
    *("case", "cover", "cable", "for", "with", "mini", "lamp", "desk", "chair", "shelf", "garden", "hose", "filter"),
    *("pump", "kit", "replacement", "universal", "wireless"),
]
_WRITTEN_AT_ONCE = 50_000


def save_tiny_bert(folder: Path) -> Path:
    """Save the encoder as transformers does."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {token: number for number, token in enumerate([*special, *WORDS, *"0123456789", ":", "title"])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text, no password
    plain.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    plain.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast: Any = PreTrainedTokenizerFast
    tokens = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast(tokenizer_object=plain, model_max_length=64, **tokens).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def write_titles(path: Path, count: int) -> Path:
    """Write a catalogue of distinct titles of 3 to 10 words, the same ones for the same count."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    words = np.array(WORDS)
    writer: pq.ParquetWriter | None = None
    for start in range(0, count, _WRITTEN_AT_ONCE):
        numbers = range(start, min(count, start + _WRITTEN_AT_ONCE))
        titles = [f"{' '.join(draw.choice(words, draw.integers(2, 9)))} {number}" for number in numbers]
        table = pl.DataFrame({"item_id": [f"i{number}" for number in numbers], "title": titles}).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path
