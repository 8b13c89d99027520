"""Train the towers: epochs, early stopping on validation NDCG@10, a checkpoint after each epoch.

The device and the precision are chosen here. The memory of a step is estimated and printed before training begins.

Shape legend: P positions of a batch, n items with training interactions, C candidates, m items that a step reads, w and
c widths of the towers and of the content vectors, K newest items mixed in.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from learn.config import Settings, TowerSettings, TrainingSettings
from learn.data import Histories
from learn.errors import TrainingError
from learn.model.batches import Batch, TrainingWindows
from learn.model.checkpoint import CHECKPOINT, TrainingState, hash_weights, load_state, save_state, save_towers
from learn.model.distributed import SINGLE_PROCESS, Group
from learn.model.losses import TrainedItems, batch_positions, choose_objective
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.summary import EpochRecord, TrainingSummary, count_setbacks, find_best_epoch
from learn.model.towers import Towers
from learn.model.warm_start import WarmStart, start_from
from learn.progress import ProgressDisplay
from learn.storage import atomic_files


def choose_device(settings: TrainingSettings) -> torch.device:
    """Return the device that the settings request.

    Raises:
        TrainingError: CUDA is requested and there is none.
    """
    available = torch.cuda.is_available()
    if settings.device == "cuda" and not available:
        raise TrainingError(
            "This machine has no CUDA device that torch can use.",
            where="settings, `training.device`",
            fix="set it to `auto` or `cpu`",
        )
    return torch.device("cuda" if available and settings.device != "cpu" else "cpu")


def autocast(settings: TrainingSettings, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which forward passes run."""
    if settings.precision == "float32":
        return nullcontext()
    if settings.precision == "auto" and not computes_in_bfloat16(device):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies in bfloat16 natively; ``precision = "auto"`` then uses it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Read from the processor's flags, not measured: the choice must be the same in every run.
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


_FLOAT_BYTES = 4
# Copies of each weight: itself, its gradient and AdamW's two moments.
_COPIES_OF_A_WEIGHT = 4
# Copies of the logits: themselves, the softmax, which becomes the gradient, and that in the logits' precision.
_COPIES_OF_A_LOGIT = 3
# Vectors of an item: read, whitened, dropped out; adapted, behaviour, their sum, the unit vector; and their gradients.
_ITEM_CONTENT_COPIES, _ITEM_TOWER_COPIES = 5, 10
# Vectors of a position in one block: norms, three projections, attended, mixed, and the four-fold feed-forward layer.
_POSITION_COPIES_A_BLOCK = 24


@dataclass(frozen=True)
class StepMemory:
    """An upper estimate of the memory of training, in bytes.

    Attributes:
        weights_bytes: Weights with gradients and moments, and the content vectors; they stay in memory throughout.
        step_bytes: Additional memory of one forward and backward pass.
        candidates: Items in the softmax of a step.
        positions: Positions of a batch, with padding.
    """

    weights_bytes: int
    step_bytes: int
    candidates: int
    positions: int

    @property
    def described(self) -> str:
        """One line for people."""
        total = (self.weights_bytes + self.step_bytes) / 2**20
        return (
            f"A training step needs at most about {total:,.0f} MiB: {self.positions:,} positions against "
            f"{self.candidates:,} candidates ({self.weights_bytes / 2**20:,.0f} MiB are weights and content vectors)."
        )


def estimate_step_memory(
    towers: Towers, *, items: int, uniform: int | None, batch_positions: int, mask_seen: bool
) -> StepMemory:
    """Estimate the memory of a training step.

    Args:
        towers: The towers to train.
        items: Items with training interactions n.
        uniform: Uniform negatives of a sampled softmax; None: every item is a candidate.
        batch_positions: Positions of a batch, at most.
        mask_seen: Whether the batch's seen items are listed.
    """
    shape = towers.settings
    # A batch holds at least one whole window.
    positions = max(batch_positions, shape.max_history)
    candidates = items if uniform is None else min(items, uniform + positions)
    read = items if uniform is None else min(items, candidates + positions)
    weights = sum(parameter.numel() for parameter in towers.parameters()) * _COPIES_OF_A_WEIGHT
    fixed = sum(buffer.numel() for buffer in towers.buffers()) + items * towers.content_dimension
    item_floats = read * (_ITEM_CONTENT_COPIES * towers.content_dimension + _ITEM_TOWER_COPIES * towers.tower_dimension)
    item_floats += candidates * _ITEM_TOWER_COPIES * shape.repeat_width
    width = shape.dimension + shape.repeat_width
    position_floats = positions * width * (_POSITION_COPIES_A_BLOCK * shape.blocks + 2 * shape.recent_items + 8)
    logits = positions * candidates * _COPIES_OF_A_LOGIT
    # Every position lists the items before it, with two indices of eight bytes each.
    seen = 4 * positions * shape.max_history // 2 if mask_seen else 0
    return StepMemory(
        weights_bytes=(weights + fixed) * _FLOAT_BYTES,
        step_bytes=(item_floats + position_floats + logits + seen) * _FLOAT_BYTES,
        candidates=candidates,
        positions=positions,
    )


Measure = Callable[[TowerScorer], float]
"""Computes validation NDCG@10 of a scorer; the package ``evaluation`` provides it."""


class Tune(Protocol):
    """Chooses the weights of the channels on validation; the package ``evaluation`` provides it."""

    def __call__(self, scorer: TowerScorer, *, learned_alone: bool = False) -> tuple[float, ...]:
        """Return a weight for each channel; with ``learned_alone``, channels not learned with the towers get 0."""
        ...


Say = Callable[[str], None]

_RESULT = "training.json"
# Far from the epochs' seeds, so that no two processes use the same dropout masks.
_SEEDS_APART = 2**40
# torch takes 64 bits; a longer seed is cut to them.
_TORCH_SEEDS = 2**64
# A learned temperature below .01 turns the softmax into a maximum and the gradients into noise.
_LARGEST_SCALE = 100.0


def choose_recipe(towers: TowerSettings) -> int:
    """Return the version of the training's recipe. It is raised when equal settings give other weights, so no older
    training is reused."""
    # Since 5 validation decides the weight of the repeats, which changes nothing else.
    return 5 if towers.repeat_width else 4


def compute_training_key(
    histories: Histories,
    content: Path,
    *,
    settings: Settings,
    seed: int,
    start: WarmStart | None = None,
    processes: int = 1,
) -> str:
    """Return a hash of everything that the weights depend on, for the folder of a training."""
    digest = hashlib.sha256()
    inputs = [histories.folder / f"{name}.npy" for name in ("offsets", "items", "train_stops")]
    validation = [histories.folder / f"validation_{name}.npy" for name in ("users", "stops", "targets")]
    for path in [*inputs, *validation, content]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    ignored = {"reuse"} if start is not None else {"reuse", "warm_learning_rate"}
    chosen = [settings.towers.model_dump(mode="json"), settings.training.model_dump(mode="json", exclude=ignored)]
    digest.update(
        json.dumps([choose_recipe(settings.towers), chosen, seed, torch.__version__], sort_keys=True).encode()
    )
    if start is not None:
        # Which rows are copied also depends on the items' ids; nothing else in training does.
        digest.update(json.dumps([start.sha256, histories.item_ids]).encode())
    if processes > 1:
        # Several processes sum in another order and draw other dropout masks: equally good, but not the same bytes.
        digest.update(json.dumps({"processes": processes}).encode())
    return digest.hexdigest()[:32]


def train_towers(
    histories: Histories,
    content: NDArray[np.float32],
    *,
    destination: Path,
    settings: Settings,
    seed: int,
    measure: Measure,
    tune: Tune | None = None,
    start: WarmStart | None = None,
    group: Group = SINGLE_PROCESS,
    say: Say = print,
) -> TrainingSummary:
    """Train both towers on the training part and keep the epoch that is best on validation.

    The same histories, content vectors, settings, seed and machine give the same weights, even if training
    was killed and continued from its checkpoint.

    Args:
        histories: The split data.
        content: (n, c) float32 frozen content vectors in item order.
        destination: Folder for the checkpoint and the weights; a finished training there is used as it is.
        settings: The sections ``towers`` and ``training`` are read.
        seed: Seed of the initial weights, the order of batches and dropout.
        measure: Computes validation NDCG@10.
        tune: Chooses the weight of each channel after the epoch is chosen; None leaves the weights at 0.
        start: Earlier weights to start from instead of random ones; they are measured first, as epoch 0, and kept
            if no epoch is better.
        group: The processes that share every batch. Each of them calls this; the first one reads and writes
            ``destination``, measures, tunes and decides.
        say: Receives one line per epoch.

    Raises:
        BundleError: The earlier weights are of towers of another shape.
        TrainingError: The loss stopped being a number, there is nothing to train on, or a process of the group is
            lost.
        StorageError: The disk is full or not writable.
    """
    parent = None if start is None else start.parent
    finished = group.broadcast(lambda: _read_finished(destination, parent=parent) if settings.training.reuse else None)
    if finished is not None:
        return finished
    if start is not None and start.same_shop:
        settings = settings.override(training__learning_rate=settings.training.warm_learning_rate)
    trainer = _Trainer(histories, content, settings=settings, seed=seed, start=start, group=group)
    say = say if group.rank == 0 else _drop_message
    say(trainer.memory.described)
    state = trainer.restore_state(destination)
    if state is not None:
        say(f"Continuing an interrupted training after epoch {state.curve[-1].epoch}.")
    curve = list(state.curve) if state is not None else []
    while not _is_over(curve, settings.training):
        first = 1 if start is None else 0
        record = trainer.run_epoch(curve[-1].epoch + 1 if curve else first, measure=measure, tune=tune)
        curve.append(record)
        best = state.best if state is not None and find_best_epoch(curve) != record else None
        if best is not None and settings.training.anneal < 1:
            trainer.go_back(best, setbacks=count_setbacks(curve))
        state = trainer.make_state(curve, best=best)
        trainer.save(state, destination)
        say(_format_epoch(record, curve, settings.training))
    if state is None:
        raise TrainingError("No epoch was trained.", where="settings, `training.epochs`", fix="set it to at least 1")
    last = state

    def read_summary() -> TrainingSummary:
        trainer.keep(last, measure=measure, tune=tune)
        return trainer.finish(last, destination, parent=parent)

    return group.broadcast(read_summary)


_EPOCH_LINE_SECONDS = 30.0
"""Most epochs are finished by then, and each epoch prints its own line."""


def with_progress(
    batches: Iterable[Batch],
    *,
    positions: int,
    epoch: int,
    console: Console | None = None,
    line_seconds: float = _EPOCH_LINE_SECONDS,
) -> Iterator[Batch]:
    """Yield the batches of an epoch, and show positions per second and the remaining time.

    Args:
        batches: All batches of the epoch.
        positions: Total number of their real positions.
        epoch: Its number, to be shown.
        console: Where to show it; standard error by default.
        line_seconds: Time between two lines if there is no terminal.
    """
    done = 0
    with ProgressDisplay(
        f"Epoch {epoch}", total=positions, console=console, line_seconds=line_seconds, transient=True
    ) as display:
        for batch in batches:
            yield batch
            done += int(batch.real.sum())
            pace = f"{done / display.seconds:,.0f}"
            line = f"Epoch {epoch}: {done:,} of {positions:,} positions, {pace} per second"
            display.update(done, rate=f"{pace} positions/s", line=line)


class _Trainer:
    """The towers, their optimizer and their training data."""

    def __init__(
        self,
        histories: Histories,
        content: NDArray[np.float32],
        *,
        settings: Settings,
        seed: int,
        start: WarmStart | None,
        group: Group,
    ) -> None:
        self.settings, self.seed, self.group = settings.training, seed, group
        self.histories, self.content, self.ids = histories, content, compute_id_rows(histories)
        self.device = choose_device(settings.training)
        self.windows = TrainingWindows(histories, max_length=settings.towers.max_history)
        if not len(self.windows):
            raise TrainingError(
                "No user has two interactions in the training part.",
                where=histories.folder,
                fix="move the cuts in section `split` of the settings to later dates",
            )
        trained = np.flatnonzero(self.ids >= 0)
        trained_content = torch.from_numpy(np.asarray(content[trained])).to(self.device)  # (n, c)
        if not torch.isfinite(trained_content).all():
            raise TrainingError(
                "Some content vectors contain values that are not numbers.",
                where="content vectors",
                fix="remove the encoder's folder from the content store and run again",
            )
        torch.manual_seed(seed % _TORCH_SEEDS)
        self.towers = Towers(settings.towers, content_dimension=content.shape[1], id_count=len(trained))
        temperature = settings.training.temperature
        if start is not None:
            ids = histories.item_ids
            start_from(start, self.towers, item_ids=[ids[item] for item in trained])
            temperature = start.temperature or temperature
        elif settings.towers.whitening:
            self.towers.whitening.fit(trained_content.cpu())
        self.towers.to(self.device)
        # Clamped and decayed apart from the towers: it scales the loss and never leaves training.
        self.log_scale = torch.nn.Parameter(torch.tensor(-np.log(temperature), device=self.device))
        self.optimizer = self._build_optimizer()
        with torch.no_grad():
            whitened = self.towers.whitening(trained_content)  # (n, c)
        if self.towers.cooccurrence is not None:
            self.towers.cooccurrence.fit(histories, whitened)
        items = TrainedItems(whitened, torch.from_numpy(np.maximum(self.ids, 0)))
        self.objective = choose_objective(
            items, self.windows, log_scale=self.log_scale, settings=settings.training, group=group
        )
        self.batch_positions = batch_positions(settings.training, items=len(trained))
        self.memory = estimate_step_memory(
            self.towers,
            items=len(trained),
            uniform=self.objective.uniform,
            batch_positions=self.batch_positions,
            mask_seen=settings.training.mask_seen,
        )

    def _build_optimizer(self) -> torch.optim.Optimizer:
        groups = [
            {"params": list(self.towers.parameters()), "weight_decay": self.settings.weight_decay},
            {"params": [self.log_scale], "weight_decay": 0.0},
        ]
        # The .98 of the second moment comes from the paper's code: sparse tables need the shorter memory.
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate, betas=(0.9, 0.98), fused=True)

    def run_epoch(self, number: int, *, measure: Measure, tune: Tune | None) -> EpochRecord:
        """Train on every window once and measure on validation; epoch 0 only measures."""
        began = time.monotonic()
        loss = self._train_once(number) if number else None

        def record() -> EpochRecord:
            scorer = TowerScorer(self.towers, content=self.content, ids=self.ids)
            if tune is not None and any(channel.learned for channel in self.towers.channels):
                # Measured as it will be served, so that no epoch is rejected for a weight that it does not keep.
                scorer = scorer.reweight(tune(scorer, learned_alone=True))
            return EpochRecord(number, loss, measure(scorer), time.monotonic() - began)

        return self.group.broadcast(record)

    def _train_once(self, number: int) -> float:
        # Seeded by the epoch, so that a resumed training draws the same dropout.
        torch.manual_seed((self.seed * 1_000_003 + number + self.group.rank * _SEEDS_APART) % _TORCH_SEEDS)
        draw = np.random.default_rng((self.seed, number, 1))
        self.towers.train()
        total, positions = 0.0, 0
        shuffled = self.windows.iterate_shuffled(batch_positions=self.batch_positions, seed=self.seed, epoch=number)
        told = self.group.rank == 0
        batches = with_progress(shuffled, positions=self.windows.positions, epoch=number) if told else shuffled
        while step := list(islice(batches, self.settings.batches_per_step)):
            count = sum(int(batch.real.sum()) for batch in step)
            total, positions = total + self._run_step(step, draw) * count, positions + count
        summed = torch.tensor(total, dtype=torch.float64, device=self.device)
        self.group.all_reduce([summed])
        return summed.item() / positions

    def _run_step(self, batches: list[Batch], draw: np.random.Generator) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        mean = sum(self._add_gradients(batch, draw, share=1 / len(batches)) for batch in batches)
        weights = (*self.towers.parameters(), self.log_scale)
        self.group.all_reduce([weight.grad for weight in weights if weight.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.towers.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        with torch.no_grad():
            self.log_scale.clamp_(max=float(np.log(_LARGEST_SCALE)))
        return mean

    def _add_gradients(self, batch: Batch, draw: np.random.Generator, *, share: float) -> float:
        """Add ``share`` of the batch's gradients to those of the step and return that share of its loss.

        Both are this process's part, which :meth:`_step` and :meth:`_train_once` add up.
        """
        with autocast(self.settings, self.device):
            loss = share * self.objective.compute_loss(self.towers, batch, draw)
        if not torch.isfinite(loss):
            raise TrainingError(
                "The training loss is no longer a number.",
                where="towers",
                fix="lower `training.learning_rate`, or set `training.precision` to `float32`",
            )
        torch.autograd.backward(loss)
        return loss.item()

    def make_state(self, curve: list[EpochRecord], *, best: dict[str, Tensor] | None) -> TrainingState:
        """Return the state to continue from; ``best`` None: this epoch's weights are the best."""
        model = self._copy_weights()
        return TrainingState(curve, best if best is not None else model, model, self.optimizer.state_dict())

    def _copy_weights(self) -> dict[str, Tensor]:
        weights = {name: tensor.detach().clone() for name, tensor in self.towers.state_dict().items()}
        return weights | {"log_scale": self.log_scale.detach().clone()}

    def save(self, state: TrainingState, destination: Path) -> None:
        """Write the state to continue from."""
        if self.group.rank == 0:
            save_state(state, destination)

    def restore_state(self, destination: Path) -> TrainingState | None:
        """Restore the state of an interrupted training, if there is one, and return it."""
        state = self.group.broadcast(lambda: load_state(destination, device=torch.device("cpu")))
        if state is not None:
            self._put(state.model)
            self.optimizer.load_state_dict(state.optimizer)
        elif self.group.size > 1:
            # Whitening and decomposition may differ in the last bits between machines; from here on all are equal.
            self._put(
                self.group.broadcast(lambda: {name: weight.cpu() for name, weight in self._copy_weights().items()})
            )
        return state

    def go_back(self, best: dict[str, Tensor], *, setbacks: int) -> None:
        """Return to the best weights and take smaller steps from there."""
        self._put(best)
        self.optimizer = self._build_optimizer()
        for group in self.optimizer.param_groups:
            group["lr"] *= self.settings.anneal**setbacks

    def _put(self, weights: dict[str, Tensor]) -> None:
        weights = dict(weights)
        with torch.no_grad():
            self.log_scale.copy_(weights.pop("log_scale"))
        self.towers.load_state_dict(weights)

    def keep(self, state: TrainingState, *, measure: Measure, tune: Tune | None) -> None:
        """Restore the best epoch's weights, and choose the channels' weights."""
        self._put(state.best)
        self.validation_ndcg = find_best_epoch(state.curve).validation_ndcg
        if tune is None or not self.towers.channels:
            return
        weights = tune(TowerScorer(self.towers, content=self.content, ids=self.ids))
        with torch.no_grad():
            for channel, weight in zip(self.towers.channels, weights, strict=True):
                channel.weight.fill_(weight)
        self.validation_ndcg = measure(TowerScorer(self.towers, content=self.content, ids=self.ids))

    def finish(self, state: TrainingState, destination: Path, *, parent: str | None) -> TrainingSummary:
        """Write the chosen weights and the record of the training, and remove the checkpoint."""
        sha256 = save_towers(self.towers.cpu(), destination)
        best = find_best_epoch(state.curve)
        summary = TrainingSummary(
            folder=destination,
            weights_sha256=sha256,
            parameters=sum(parameter.numel() for parameter in self.towers.parameters()),
            curve=tuple(state.curve),
            chosen_epoch=best.epoch,
            validation_ndcg=self.validation_ndcg,
            reused=False,
            parent=parent,
            temperature=None if self.settings.loss == "dense_all_action" else 1 / self.log_scale.detach().exp().item(),
        )
        record = asdict(summary) | {"folder": str(destination)}
        with atomic_files(destination, names=(_RESULT,)) as stage:
            (stage / _RESULT).write_text(json.dumps(record, indent=2), encoding="utf-8")
        (destination / CHECKPOINT).unlink(missing_ok=True)
        return summary


def _drop_message(_: str) -> None:
    """Print nothing; for all processes except the first."""


def _read_finished(folder: Path, *, parent: str | None) -> TrainingSummary | None:
    try:
        record = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
        if hash_weights(folder) != record["weights_sha256"]:
            return None
    except (OSError, ValueError, KeyError):
        return None
    curve = tuple(EpochRecord(**epoch) for epoch in record["curve"])
    return TrainingSummary(**(record | {"folder": folder, "curve": curve, "reused": True, "parent": parent}))


def _is_over(curve: list[EpochRecord], settings: TrainingSettings) -> bool:
    if not curve:
        return False
    last = curve[-1].epoch
    return last >= settings.epochs or last - find_best_epoch(curve).epoch >= settings.patience


def _format_epoch(record: EpochRecord, curve: list[EpochRecord], settings: TrainingSettings) -> str:
    mark = " (best)" if find_best_epoch(curve) == record else ""
    loss = "as it was, " if record.loss is None else f"loss {record.loss:.3f}, "
    return (
        f"Epoch {record.epoch}/{settings.epochs}: {loss}"
        f"validation NDCG@10 {record.validation_ndcg:.4f}{mark}, {record.seconds:.1f} s"
    )
