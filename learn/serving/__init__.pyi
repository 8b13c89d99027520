from .answers import Found, answered, found_alone, wanted_list
from .deployment import Served
from .package import build_bento, project_root
from .parity import check_parity, running_service
from .recommender import Gathering, Recommender, Wanted
from .release import release_run
from .schemas import RecommendRequest

__all__ = [
    "Found",
    "Gathering",
    "RecommendRequest",
    "Recommender",
    "Served",
    "Wanted",
    "answered",
    "build_bento",
    "check_parity",
    "found_alone",
    "project_root",
    "release_run",
    "running_service",
    "wanted_list",
]
