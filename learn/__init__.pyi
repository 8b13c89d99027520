from .config import Settings, read_settings
from .content import ContentStore
from .data import Examples, Histories
from .errors import LearnError
from .evaluation import Evaluation, Scorer
from .library import evaluate, pack, prepare, train
from .model import RunInputs, TowerScorer
from .registry import Bundle, read_bundle
from .serving import Filters, Recommender

__version__: str

__all__ = [
    "Bundle",
    "ContentStore",
    "Evaluation",
    "Examples",
    "Filters",
    "Histories",
    "LearnError",
    "Recommender",
    "RunInputs",
    "Scorer",
    "Settings",
    "TowerScorer",
    "evaluate",
    "pack",
    "prepare",
    "read_bundle",
    "read_settings",
    "train",
]
