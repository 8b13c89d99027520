"""Training the towers: epochs, early stopping on validation NDCG@10, a checkpoint after each epoch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from learn.alignment.actions import sample_actions
from learn.alignment.batches import Batch, TrainingWindows
from learn.alignment.checkpoints import CHECKPOINT, TrainingState, load_state, save_state
from learn.alignment.devices import autocast, choose_device
from learn.alignment.losses import dense_all_action, full_softmax
from learn.alignment.scoring import TowerScorer, id_rows
from learn.alignment.summary import EpochRecord, TrainingSummary, best_epoch
from learn.alignment.towers import Towers
from learn.alignment.weights import save_towers, weights_hash
from learn.config import Settings, TrainingSettings
from learn.data.histories import Histories
from learn.errors import TrainingError, storage_faults

Measure = Callable[[TowerScorer], float]
"""Validation NDCG@10 of a scorer; the evaluation room gives it, training only obeys it."""

Say = Callable[[str], None]

_RESULT = "training.json"
# A learned temperature below .01 turns the softmax into a maximum and the gradients into noise.
_LARGEST_SCALE = 100.0


def training_key(histories: Histories, content: Path, *, settings: Settings, seed: int) -> str:
    """Return a hash of everything that the weights depend on, for the folder of a training."""
    digest = hashlib.sha256()
    inputs = [histories.folder / f"{name}.npy" for name in ("offsets", "items", "train_stops")]
    validation = [histories.folder / f"validation_{name}.npy" for name in ("users", "stops", "targets")]
    for path in [*inputs, *validation, content]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    chosen = [settings.towers.model_dump(mode="json"), settings.training.model_dump(mode="json", exclude={"reuse"})]
    digest.update(json.dumps([chosen, seed, torch.__version__], sort_keys=True).encode())
    return digest.hexdigest()[:32]


def train_towers(
    histories: Histories,
    content: NDArray[np.float32],
    *,
    destination: Path,
    settings: Settings,
    seed: int,
    measure: Measure,
    say: Say = print,
) -> TrainingSummary:
    """Train both towers on the training part and keep the epoch that is best on validation.

    The same histories, content vectors, settings, seed and machine give the same weights, also when training
    was killed and went on from its checkpoint.

    Args:
        histories: The split data.
        content: (n, c) float32 frozen content vectors in item order.
        destination: Folder for the checkpoint and the weights; a finished training there is taken as it is.
        settings: Sections ``towers`` and ``training`` are read.
        seed: Of initial weights, order of batches and dropout.
        measure: Gives validation NDCG@10.
        say: Receives one line an epoch.

    Raises:
        TrainingError: The loss stopped being a number, or there is nothing to train on.
        StorageError: The disk is full or closed.
    """
    finished = _finished(destination) if settings.training.reuse else None
    if finished is not None:
        return finished
    trainer = _Trainer(histories, content, settings=settings, seed=seed)
    state = load_state(destination, device=trainer.device)
    if state is not None:
        trainer.load(state)
        say(f"Going on after epoch {len(state.curve)} of an interrupted training.")
    curve = list(state.curve) if state is not None else []
    while not _is_over(curve, settings.training):
        record = trainer.epoch(len(curve) + 1, measure)
        curve.append(record)
        state = trainer.state(curve, best=state.best if state is not None and best_epoch(curve) != record else None)
        save_state(state, destination)
        say(_line(record, curve, settings.training))
    if state is None:
        raise TrainingError("No epoch was trained.", where="settings, `training.epochs`", fix="set it to at least 1")
    return trainer.finish(state, destination)


class _Trainer:
    """The towers, their optimizer and the data they see."""

    def __init__(self, histories: Histories, content: NDArray[np.float32], *, settings: Settings, seed: int) -> None:
        self.settings, self.seed = settings.training, seed
        self.histories, self.content, self.ids = histories, content, id_rows(histories)
        self.device = choose_device(settings.training)
        self.windows = TrainingWindows(histories, max_length=settings.towers.max_history)
        if not len(self.windows):
            raise TrainingError(
                "No user has two interactions in the training part.",
                where=histories.folder,
                fix="move the cuts in section `split` of the settings to later dates",
            )
        # Items without training interactions are no candidates in training: they could only be pushed away.
        self.seen = torch.from_numpy(np.flatnonzero(self.ids >= 0))
        self.seen_content = torch.from_numpy(np.asarray(content[self.seen.numpy()])).to(self.device)  # (n, c)
        if not torch.isfinite(self.seen_content).all():
            raise TrainingError(
                "Some content vectors hold values that are not numbers.",
                where="content vectors",
                fix="remove the encoder's folder from the content store and run again",
            )
        self.seen_ids = torch.arange(len(self.seen), device=self.device)
        self.rows = torch.from_numpy(self.ids)
        torch.manual_seed(seed)
        self.towers = Towers(settings.towers, content_dimension=content.shape[1], id_count=len(self.seen))
        if settings.towers.whitening:
            self.towers.whitening.fit(self.seen_content.cpu())
        self.towers.to(self.device)
        # Clamped and decayed apart from the towers: it scales the loss and never leaves training.
        self.log_scale = torch.nn.Parameter(torch.tensor(-np.log(settings.training.temperature), device=self.device))
        self.optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.Optimizer:
        groups = [
            {"params": list(self.towers.parameters()), "weight_decay": self.settings.weight_decay},
            {"params": [self.log_scale], "weight_decay": 0.0},
        ]
        # The second moment of .98 is the paper's code's: sparse tables need the shorter memory.
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate, betas=(0.9, 0.98), fused=True)

    def epoch(self, number: int, measure: Measure) -> EpochRecord:
        """Train on every window once and measure on validation."""
        began = time.monotonic()
        # Seeded by the epoch, not by what went before, so that a resumed training draws the same dropout.
        torch.manual_seed(self.seed * 1_000_003 + number)
        draw = np.random.default_rng((self.seed, number, 1))
        self.towers.train()
        total, positions = 0.0, 0
        for batch in self.windows.shuffled(batch_positions=self.settings.batch_positions, seed=self.seed, epoch=number):
            loss = self._step(batch, draw)
            count = int(batch.real.sum())
            total, positions = total + loss * count, positions + count
        ndcg = measure(TowerScorer(self.towers, content=self.content, ids=self.ids))
        return EpochRecord(number, total / positions, ndcg, time.monotonic() - began)

    def _step(self, batch: Batch, draw: np.random.Generator) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.settings, self.device):
            inputs = self.towers.item_inputs(self.seen_content, self.seen_ids)  # (n, w)
            loss = (
                self._softmax_loss(batch, inputs)
                if self.settings.loss == "full_softmax"
                else self._action_loss(batch, inputs, draw)
            )
        if not torch.isfinite(loss):
            raise TrainingError(
                "The training loss is no longer a number.",
                where="towers",
                fix="lower `training.learning_rate`, or set `training.precision` to `float32`",
            )
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.towers.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        with torch.no_grad():
            self.log_scale.clamp_(max=float(np.log(_LARGEST_SCALE)))
        return loss.item()

    def _softmax_loss(self, batch: Batch, inputs: Tensor) -> Tensor:
        candidates = self.towers.item_vectors(inputs)  # (n, d)
        # Looked up by `embedding`, not by index: the gradient of an index is added up by racing threads, and no two
        # trainings would give the same bytes.
        real = batch.real.to(self.device)
        sequences, targets = self._rows(batch.inputs), self._rows(batch.targets)
        states = self.towers.user_states(functional.embedding(sequences, inputs))[real]  # (P, d)
        seen = None
        if self.settings.mask_seen:
            positions, items = batch.seen_pairs()
            seen = positions.to(self.device), self._rows(items)
        return full_softmax(states, candidates, targets[real], scale=self.log_scale.exp(), seen=seen)

    def _action_loss(self, batch: Batch, inputs: Tensor, draw: np.random.Generator) -> Tensor:
        longest = self.towers.settings.max_history
        actions = sample_actions(batch, settings=self.settings, max_history=longest, draw=draw)
        states = self.towers.user_states(functional.embedding(self._rows(actions.histories), inputs))  # (B, T, d)
        positions = actions.positions.to(self.device)
        users = states.gather(1, positions.unsqueeze(-1).expand(-1, -1, states.shape[-1]))  # (B, H, d)
        targets = functional.embedding(self._rows(actions.targets), inputs)  # (B, K, w)
        items = (
            self.towers.item_sequence_vectors(targets)
            if self.towers.settings.item_tower == "shared_sequence"
            else self.towers.item_vectors(targets.flatten(0, 1)).view(*targets.shape[:2], -1)
        )  # (B, K, d)
        real, wanted = actions.real.to(self.device), actions.wanted.to(self.device)
        return dense_all_action(users, items, real, wanted, temperature=self.settings.temperature)

    def _rows(self, items: Tensor) -> Tensor:
        # Padding points at item 0, which may have no row; any row will do, since padding is never read.
        return self.rows[items].clamp_min(0).to(self.device)

    def state(self, curve: list[EpochRecord], *, best: dict[str, Tensor] | None) -> TrainingState:
        """Return what the next epoch goes on from; ``best`` None: this epoch's weights are the best."""
        model = {name: tensor.detach().clone() for name, tensor in self.towers.state_dict().items()}
        model["log_scale"] = self.log_scale.detach().clone()
        return TrainingState(curve, best if best is not None else model, model, self.optimizer.state_dict())

    def load(self, state: TrainingState) -> None:
        """Go back to where an interrupted training stood."""
        self._put(state.model)
        self.optimizer.load_state_dict(state.optimizer)

    def _put(self, weights: dict[str, Tensor]) -> None:
        weights = dict(weights)
        with torch.no_grad():
            self.log_scale.copy_(weights.pop("log_scale"))
        self.towers.load_state_dict(weights)

    def finish(self, state: TrainingState, destination: Path) -> TrainingSummary:
        """Write the best epoch's weights and the record of the training; drop the checkpoint."""
        self._put(state.best)
        sha256 = save_towers(self.towers.cpu(), destination)
        best = best_epoch(state.curve)
        summary = TrainingSummary(
            folder=destination,
            weights_sha256=sha256,
            parameters=sum(parameter.numel() for parameter in self.towers.parameters()),
            curve=tuple(state.curve),
            chosen_epoch=best.epoch,
            validation_ndcg=best.validation_ndcg,
            reused=False,
        )
        record = asdict(summary) | {"folder": str(destination)}
        with storage_faults(destination):
            scratch = destination / f"{_RESULT}.partial"
            scratch.write_text(json.dumps(record, indent=2), encoding="utf-8")
            scratch.replace(destination / _RESULT)
            (destination / CHECKPOINT).unlink(missing_ok=True)
        return summary


def _finished(folder: Path) -> TrainingSummary | None:
    try:
        record = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
        if weights_hash(folder) != record["weights_sha256"]:
            return None
    except (OSError, ValueError, KeyError):
        return None
    curve = tuple(EpochRecord(**epoch) for epoch in record["curve"])
    return TrainingSummary(**(record | {"folder": folder, "curve": curve, "reused": True}))


def _is_over(curve: list[EpochRecord], settings: TrainingSettings) -> bool:
    if len(curve) >= settings.epochs:
        return True
    return bool(curve) and curve[-1].epoch - best_epoch(curve).epoch >= settings.patience


def _line(record: EpochRecord, curve: list[EpochRecord], settings: TrainingSettings) -> str:
    mark = " (best)" if best_epoch(curve) == record else ""
    return (
        f"Epoch {record.epoch}/{settings.epochs}: loss {record.loss:.3f}, "
        f"validation NDCG@10 {record.validation_ndcg:.4f}{mark}, {record.seconds:.1f} s"
    )
