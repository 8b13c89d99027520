from .aliases import Challenger, ModelAliases, find_aliases_path, read_aliases
from .bundle import ITEMS, Bundle, GateDecision, Manifest, read_bundle, read_manifest, record_decision, write_bundle
from .earlier import (
    check_production,
    check_start,
    find_champion_bundle,
    find_newest_production,
    read_production,
    read_start,
    read_trained_rows,
    refuse_seen_windows,
)
from .promotion import promote, promote_run
from .store import find_stored, list_stored, load_stored, store_bundle
from .summary import Champion, ProductionBundle, Promotion, ReleaseSummary, StartBundle

__all__ = [
    "ITEMS",
    "Bundle",
    "Challenger",
    "Champion",
    "GateDecision",
    "Manifest",
    "ModelAliases",
    "ProductionBundle",
    "Promotion",
    "ReleaseSummary",
    "StartBundle",
    "check_production",
    "check_start",
    "find_aliases_path",
    "find_champion_bundle",
    "find_newest_production",
    "find_stored",
    "list_stored",
    "load_stored",
    "promote",
    "promote_run",
    "read_aliases",
    "read_bundle",
    "read_manifest",
    "read_production",
    "read_start",
    "read_trained_rows",
    "record_decision",
    "refuse_seen_windows",
    "store_bundle",
    "write_bundle",
]
