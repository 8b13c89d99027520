from .batches import pad_histories
from .channels import count_transitions
from .checkpoint import SHAPE, WEIGHTS, hash_weights, load_towers, save_towers
from .distributed import SINGLE_PROCESS, Group, Rendezvous, join_group
from .inputs import RunInputs, encode_catalogue
from .scorer import TowerScorer, compute_id_rows
from .summary import EpochRecord, TrainingSummary
from .towers import Block, Towers
from .trainer import choose_recipe, compute_training_key, computes_in_bfloat16, train_towers
from .warm_start import WarmStart, refuse_other_towers

__all__ = [
    "SHAPE",
    "SINGLE_PROCESS",
    "WEIGHTS",
    "Block",
    "EpochRecord",
    "Group",
    "Rendezvous",
    "RunInputs",
    "TowerScorer",
    "Towers",
    "TrainingSummary",
    "WarmStart",
    "choose_recipe",
    "compute_id_rows",
    "compute_training_key",
    "computes_in_bfloat16",
    "count_transitions",
    "encode_catalogue",
    "hash_weights",
    "join_group",
    "load_towers",
    "pad_histories",
    "refuse_other_towers",
    "save_towers",
    "train_towers",
]
