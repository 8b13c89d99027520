"""CEX: what a frozen LLM reads of each item, once, and where its vectors are kept.

Everything here is cheap to import. The encoder itself, which brings torch, is
``learn.content.encoder``; :func:`encode_shard` imports it when there is something to encode.
"""

from learn.content.extraction import (
    ContentSummary,
    ExtractionPlan,
    ShardResult,
    collect_vectors,
    encode_shard,
    plan_extraction,
)
from learn.content.fingerprint import (
    EncoderFingerprint,
    arithmetics,
    content_keys,
    fingerprint_encoder,
)
from learn.content.prompt import ItemPrompt
from learn.content.shards import Shard
from learn.content.source import EncoderSource, resolve_encoder, resolved
from learn.content.store import ContentStore
from learn.content.text import clean_text, truncate_text

__all__ = [
    "ContentStore",
    "ContentSummary",
    "EncoderFingerprint",
    "EncoderSource",
    "ExtractionPlan",
    "ItemPrompt",
    "Shard",
    "ShardResult",
    "arithmetics",
    "clean_text",
    "collect_vectors",
    "content_keys",
    "encode_shard",
    "fingerprint_encoder",
    "plan_extraction",
    "resolve_encoder",
    "resolved",
    "truncate_text",
]
