from .answers import ServedList, build_answer, build_query, recommend_one
from .deployment import ServedModel
from .filters import Filters
from .package import build_bento
from .parity import check_parity, run_service
from .recommender import Query, Recommender, RequestBatcher
from .release import release_run, write_tower_bundle
from .schemas import RecommendRequest

__all__ = [
    "Filters",
    "Query",
    "RecommendRequest",
    "Recommender",
    "RequestBatcher",
    "ServedList",
    "ServedModel",
    "build_answer",
    "build_bento",
    "build_query",
    "check_parity",
    "recommend_one",
    "release_run",
    "run_service",
    "write_tower_bundle",
]
