from .aliases import Challenger, ModelAliases, aliases_path, read_aliases
from .bundle import ITEMS, Bundle, GateDecision, Manifest, read_bundle, read_manifest, record_decision, write_bundle
from .earlier import champion_bundle, check_start, read_production, read_start, trained_rows
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
    "aliases_path",
    "champion_bundle",
    "check_start",
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
    "record_decision",
    "store_bundle",
    "trained_rows",
    "write_bundle",
]
