from .batches import pad_histories
from .channels import count_transitions
from .checkpoint import SHAPE, WEIGHTS, load_towers, save_towers, weights_hash
from .devices import computes_in_bfloat16
from .distributed import ALONE, Group, Meeting, meet
from .losses import chosen_loss
from .scorer import TowerScorer, id_rows
from .summary import EpochRecord, TrainingSummary
from .towers import Block, Towers
from .trainer import recipe, train_towers, training_key
from .warm_start import WarmStart, refuse_other_towers

__all__ = [
    "ALONE",
    "SHAPE",
    "WEIGHTS",
    "Block",
    "EpochRecord",
    "Group",
    "Meeting",
    "TowerScorer",
    "Towers",
    "TrainingSummary",
    "WarmStart",
    "chosen_loss",
    "computes_in_bfloat16",
    "count_transitions",
    "id_rows",
    "load_towers",
    "meet",
    "pad_histories",
    "recipe",
    "refuse_other_towers",
    "save_towers",
    "train_towers",
    "training_key",
    "weights_hash",
]
