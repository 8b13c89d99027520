from .histories import CLOCK, Examples, Histories, Part, Timestamps, count_before
from .out_of_core import BUCKET_ROWS
from .prepared import READER_VERSION, prepare_tables
from .sample.shop import make_sample
from .sources import find_sources, require_tables
from .splits import SplitSummary, build_histories, summarise_split
from .tables import TablesSummary, load_interactions, load_tables
from .timestamps import TimestampScale, detect_timestamp_scale, read_timestamp_scale
from .validation.summary import CheckSummary, TableSummary, ValidationSummary
from .validation.validate import validate_tables
from .versions.snapshot import DataVersion, obtain_version, record_version, restore_version

__all__ = [
    "BUCKET_ROWS",
    "CLOCK",
    "READER_VERSION",
    "CheckSummary",
    "DataVersion",
    "Examples",
    "Histories",
    "Part",
    "SplitSummary",
    "TableSummary",
    "TablesSummary",
    "TimestampScale",
    "Timestamps",
    "ValidationSummary",
    "build_histories",
    "count_before",
    "detect_timestamp_scale",
    "find_sources",
    "load_interactions",
    "load_tables",
    "make_sample",
    "obtain_version",
    "prepare_tables",
    "read_timestamp_scale",
    "record_version",
    "require_tables",
    "restore_version",
    "summarise_split",
    "validate_tables",
]
