from .encoder import FrozenEncoder, Vectors, count_available_threads, load_encoder
from .extraction import (
    ContentSummary,
    EncodingProgress,
    ExtractionPlan,
    Shard,
    ShardResult,
    collect_vectors,
    encode_shard,
    plan_extraction,
)
from .fingerprint import (
    EncoderFingerprint,
    Keys,
    choose_arithmetic,
    compute_content_keys,
    compute_fingerprint,
    list_arithmetics,
    list_computable_arithmetics,
)
from .maintenance import check_store
from .prompt import SEPARATOR, ItemPrompt, clean_text, join_fields, split_fields, truncate_text
from .source import EncoderSource, resolve_encoder, resolve_settings_encoder
from .store import ContentStore

__all__ = [
    "SEPARATOR",
    "ContentStore",
    "ContentSummary",
    "EncoderFingerprint",
    "EncoderSource",
    "EncodingProgress",
    "ExtractionPlan",
    "FrozenEncoder",
    "ItemPrompt",
    "Keys",
    "Shard",
    "ShardResult",
    "Vectors",
    "check_store",
    "choose_arithmetic",
    "clean_text",
    "collect_vectors",
    "compute_content_keys",
    "compute_fingerprint",
    "count_available_threads",
    "encode_shard",
    "join_fields",
    "list_arithmetics",
    "list_computable_arithmetics",
    "load_encoder",
    "plan_extraction",
    "resolve_encoder",
    "resolve_settings_encoder",
    "split_fields",
    "truncate_text",
]
