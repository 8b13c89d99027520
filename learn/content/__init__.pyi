from .encoder import FrozenEncoder, Vectors, available_threads, load_encoder
from .extraction import (
    ContentSummary,
    ExtractionPlan,
    Shard,
    ShardResult,
    collect_vectors,
    encode_shard,
    plan_extraction,
)
from .fingerprint import EncoderFingerprint, Keys, arithmetics, chosen, computable, content_keys, fingerprint_encoder
from .maintenance import check_store
from .progress import EncodingProgress
from .prompt import SEPARATOR, ItemPrompt, clean_text, rows_of, texts_of, truncate_text
from .source import EncoderSource, resolve_encoder, resolved
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
    "arithmetics",
    "available_threads",
    "check_store",
    "chosen",
    "clean_text",
    "collect_vectors",
    "computable",
    "content_keys",
    "encode_shard",
    "fingerprint_encoder",
    "load_encoder",
    "plan_extraction",
    "resolve_encoder",
    "resolved",
    "rows_of",
    "texts_of",
    "truncate_text",
]
