"""The frozen encoder: texts in, unit vectors out.

On a CPU a vector has the same bytes whatever else is in its batch, in float32 and in bfloat16. Three rules make
it depend only on its text:

- A batch holds texts of one token length, so nothing is padded and no mask is needed.
- Each forward pass runs on one thread, and several run at the same time.
- No pass holds fewer than about 64 tokens.

Padding, a matrix product split over threads, and the kernels for very small products (measured: below 16 rows) would
change the last bits. The int8 mode is faster on any processor and gives slightly different vectors.

Shape legend: B texts of a batch, T tokens, c width of a token state.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from learn.batching import MOST_PADDING, Rows, cut_batches, pad_tokens
from learn.config import ContentSettings
from learn.content.loading import LoadedModel, load_model
from learn.content.source import EncoderSource, resolve_settings_encoder
from learn.errors import EncoderError


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether an error is a failed allocation: in Python, in torch on the CPU, or on a GPU."""
    if isinstance(fault, MemoryError | torch.OutOfMemoryError):
        return True
    # torch has no error class for a failed allocation on the CPU.
    said = str(fault)
    return isinstance(fault, RuntimeError) and ("can't allocate memory" in said or "could not create a memory" in said)


def explain_out_of_memory(tokens: int) -> EncoderError:
    """Return the error for a single text that does not fit into memory."""
    return EncoderError(
        f"There is not enough memory to encode one text of {tokens} tokens.",
        where="content.max_tokens",
        fix="lower `content.max_tokens` or `content.threads`, or use a smaller encoder",
    )


def pool_states(states: Tensor, pooling: str, *, mask: Tensor | None = None) -> Tensor:
    """Pool the token states into one vector for each text.

    Args:
        states: (B, T, c) token states, padded on the right.
        pooling: ``mean`` over the real tokens, ``last`` real token, or ``cls`` (the first token).
        mask: (B, T), 1 where a token is real; None: all are.

    Returns:
        (B, c), of the same dtype.
    """
    if pooling == "cls":
        return states[:, 0]  # (B, c)
    if pooling == "last":
        ends = torch.full((len(states),), states.shape[1]) if mask is None else mask.sum(dim=1)
        return states[torch.arange(len(states)), ends - 1]  # (B, c)
    if mask is None:
        return states.mean(dim=1)  # (B, c)
    real = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
    return (states * real).sum(dim=1) / real.sum(dim=1)  # (B, c)


class QuantisedLinear(nn.Module):
    """A linear layer with int8 weights, one scale for each output, and int8 inputs, one scale for each token.

    torch quantises all inputs of a product by one scale. Here each token is first divided by its largest number
    (LLM.int8(), Dettmers et al. 2022, section 2.1): measured on MiniLM, the mean cosine to float32 is .9966 instead
    of .9917, at the cost of some tenths of the speed gained.

    Args:
        linear: The layer in float32.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weights = linear.weight.detach()  # (n, k)
        scales = weights.abs().amax(dim=1).clamp_min(1e-12).double() / 127  # (n,)
        zeros = torch.zeros(len(weights), dtype=torch.int64)
        with warnings.catch_warnings():
            # torch will remove these tensors, but in a later release than the one that LEARN pins.
            warnings.simplefilter("ignore")
            quantised = torch.quantize_per_channel(weights, scales, zeros, 0, torch.qint8)
        self._packed: Any = torch.ops.quantized.linear_prepack(quantised, None)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, k) to (…, n), both float32."""
        largest = inputs.abs().amax(dim=-1, keepdim=True).clamp_min(1e-9)  # (…, 1)
        found: Tensor = torch.ops.quantized.linear_dynamic(inputs / largest, self._packed)  # (…, n)
        return found * largest if self._bias is None else torch.addcmul(self._bias, found, largest)


def quantise(model: nn.Module) -> None:
    """Replace every linear layer of a float32 model on the CPU by a :class:`QuantisedLinear`."""
    for name, child in list(model.named_children()):
        if type(child) is nn.Linear:
            setattr(model, name, QuantisedLinear(child))
        else:
            quantise(child)


class OneCoreEach:
    """Keeps torch on one core per forward pass while anyone encodes, and restores its setting afterwards.

    torch has one number of threads for the process: the first to enter lowers it, the last to leave restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 1

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Run each forward pass on one core within this context."""
        with self._lock:
            if not self._inside:
                self._before = torch.get_num_threads()
                torch.set_num_threads(1)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    torch.set_num_threads(self._before)


ONE_CORE_EACH = OneCoreEach()
"""One for the process, because torch has one number of threads for the process."""


def start_pool(threads: int) -> ThreadPoolExecutor:
    """Return a pool of threads for forward passes; torch uses one core in each."""
    return ThreadPoolExecutor(threads, "encoder", torch.set_num_threads, (1,))


def count_available_threads() -> int:
    """Return how many cores this process may use, by ``OMP_NUM_THREADS`` and by its affinity."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, torch.get_num_threads()))


class Engine(Protocol):
    """Computes token states; called from several threads at once.

    Attributes:
        exact: Whether a vector must have the same bytes in every batch, so no padding and no tiny products.
        device: Where the ids are sent.
    """

    exact: bool
    device: str

    def encode_tokens(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Return token states (B, T, c) in float32 of ids (B, T) and mask (B, T), both int64."""


class TorchEngine:
    """A transformers model, run without changes.

    Args:
        loaded: The model, on its device.
        layer: The layer whose states are used, counted from the end: -1 is the last.
        exact: See :class:`Engine`.

    Raises:
        EncoderError: The model has no such layer.
    """

    def __init__(self, loaded: LoadedModel, *, layer: int, exact: bool) -> None:
        self._model = loaded.model
        self._layer = layer
        self.exact = exact
        self.device = str(loaded.model.device)
        config: Any = loaded.model.config
        layers = int(getattr(config, "num_hidden_layers", 0) or 0)
        # The embeddings count as layer 0.
        if layer != -1 and layers and not -layers - 1 <= layer <= layers:
            raise EncoderError(
                f"The encoder has {layers} layers; there is no layer {layer}.",
                where="content.layer",
                fix=f"give a number from -1 (the last layer) to {-layers - 1} (the embeddings)",
            )

    def encode_tokens(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Return token states (B, T, c) in float32."""
        if self._layer == -1:
            found: Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        else:
            found = self._model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[
                self._layer
            ]
        return found.float()  # (B, T, c)


Vectors = npt.NDArray[np.float32]
Progress = Callable[[int, int, int], None]
"""Called after each batch with its numbers of texts, of tokens, and of padding tokens besides."""

_FEWEST_TOKENS = 64
_TOKENS_PER_BATCH = {"cpu": 2_048, "cuda": 65_536}


class FrozenEncoder:
    """A frozen language model, its pooling, and how it is run. Any number of threads may call it.

    Args:
        engine: The forward pass.
        loaded: Its tokenizer and sizes.
        settings: Pooling, instruction, longest text, tokens per batch.
        threads: Forward passes at the same time, each on one core.
    """

    def __init__(self, engine: Engine, loaded: LoadedModel, settings: ContentSettings, *, threads: int = 1) -> None:
        self._engine = engine
        self._tokenizer = loaded.tokenizer
        self._pooling = settings.pooling
        self._instruction = settings.instruction
        self._threads = max(1, threads)
        self._pool = start_pool(self._threads)
        # A tokenizer holds its truncation as state, and fails if two threads set it at the same time.
        self._reading = threading.Lock()
        self._end = self._find_end_token() if settings.pooling == "last" else None
        self.tokens_per_batch = settings.tokens_per_batch or _TOKENS_PER_BATCH[engine.device.partition(":")[0]]
        self.max_tokens = min(settings.max_tokens, loaded.longest)
        self.dimension = loaded.dimension

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Return the unit vectors of the texts, in their order.

        Args:
            texts: n texts of any length; only the first ``max_tokens`` tokens are read.
            progress: Called after each batch.

        Returns:
            (n, c) float32, each row of length 1.

        Raises:
            EncoderError: The model returned numbers that are not finite, or a single text does not fit into
                memory.
        """
        tokens = self._tokenise(texts)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        with ONE_CORE_EACH.hold(), closing(self._iterate_vectors(tokens)) as batches_done:
            for rows, found in batches_done:
                if not np.isfinite(found).all():
                    raise EncoderError(
                        "The encoder returned numbers that are not finite.",
                        where=texts[int(rows[0])][:80],
                        fix='use `content.arithmetic = "float32"`, or another encoder',
                    )
                vectors[rows] = found
                if progress is not None:
                    lengths = [len(tokens[row]) for row in rows]
                    progress(len(rows), sum(lengths), len(rows) * max(lengths) - sum(lengths))
        return vectors

    def _tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        with self._reading:
            found = self._tokenizer(
                [self._instruction + text for text in texts],
                truncation=True,
                max_length=self.max_tokens,
                padding=False,
                return_attention_mask=False,
            )["input_ids"]
        if self._end is not None:
            found = [[*ids[: self.max_tokens - 1], self._end] for ids in found]
        # Some decoders' tokenizers return no token for an empty text, and a model needs at least one.
        return [list(ids) or [self._find_padding_id()] for ids in found]

    def _find_end_token(self) -> int | None:
        # Most decoders' tokenizers leave out the end-of-text token, whose state represents the whole text.
        tokenizer = self._tokenizer
        marks = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        ended = (tokenizer("a")["input_ids"] or [None])[-1] in marks
        return None if ended or tokenizer.eos_token_id is None else int(tokenizer.eos_token_id)

    def _find_padding_id(self) -> int:
        known = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id, self._tokenizer.pad_token_id)
        return next((int(token) for token in known if token is not None), 0)

    def _iterate_vectors(self, tokens: list[list[int]]) -> Generator[tuple[Rows, Vectors], None, None]:
        lengths = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
        todo = cut_batches(
            lengths, budget=lambda: self.tokens_per_batch, padding=0 if self._engine.exact else MOST_PADDING
        )
        again: list[Rows] = []
        waiting: dict[Future[Vectors], Rows] = {}
        try:
            while True:
                while len(waiting) < 2 * self._threads:
                    rows = again.pop() if again else next(todo, None)
                    if rows is None:
                        break
                    waiting[self._pool.submit(self._forward, [tokens[row] for row in rows])] = rows
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    rows = waiting.pop(future)
                    fault = future.exception()
                    if fault is None:
                        yield rows, future.result()
                    else:
                        again += self._halve(rows, fault, tokens=int(lengths[rows].max()))
        finally:
            for future in waiting:
                future.cancel()
            # A pass that has begun needs this number of threads until it ends.
            wait(waiting)

    def _halve(self, rows: Rows, fault: BaseException, *, tokens: int) -> list[Rows]:
        if not is_out_of_memory(fault):
            raise fault
        if len(rows) == 1:
            raise explain_out_of_memory(tokens) from fault
        self.tokens_per_batch = min(self.tokens_per_batch, max(1, len(rows) * tokens // 2))
        return np.array_split(rows, 2)

    @torch.inference_mode()
    def _forward(self, tokens: list[list[int]]) -> Vectors:
        short = -(-_FEWEST_TOKENS // len(tokens[0])) - len(tokens) if self._engine.exact else 0
        ids, real = pad_tokens([*tokens, *[tokens[0]] * short], blank=self._measure_padding())
        mask = None if real is None else torch.from_numpy(real).to(self._engine.device)
        states = self._engine.encode_tokens(torch.from_numpy(ids).to(self._engine.device), mask)[
            : len(tokens)
        ]  # (B, T, c)
        pooled = pool_states(states, self._pooling, mask=mask)  # (B, c)
        unit = torch.nn.functional.normalize(pooled, dim=-1)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)

    def _measure_padding(self) -> int:
        pad = self._tokenizer.pad_token_id
        return self._find_padding_id() if pad is None else int(pad)


def load_encoder(
    settings: ContentSettings,
    *,
    source: EncoderSource | None = None,
    threads: int | None = None,
    arithmetic: str | None = None,
) -> FrozenEncoder:
    """Load the encoder that the settings name.

    Args:
        settings: Encoder, pooling, arithmetic.
        source: Where the encoder is, if that is already known.
        threads: Cores to use; None: as many as torch would use.
        arithmetic: The one an extraction chose, see :mod:`learn.content.fingerprint`; None: the settings' one, or
            float32 if that is ``auto``.

    Raises:
        EncoderError: It cannot be obtained, is incomplete, or is of a kind that cannot be loaded.
    """
    source = resolve_settings_encoder(settings) if source is None else source
    wanted = arithmetic or ("float32" if settings.arithmetic == "auto" else settings.arithmetic)
    device = "cuda" if torch.cuda.is_available() and wanted != "int8" else "cpu"
    dtype = torch.bfloat16 if wanted == "bfloat16" else torch.float32
    loaded = load_model(source, dtype=dtype, device=device)
    if wanted == "int8":
        quantise(loaded.model)
    # int8 scales a batch's activations together, and a GPU uses different kernels for different sizes.
    exact = wanted == "float32" or (wanted == "bfloat16" and device == "cpu")
    engine = TorchEngine(loaded, layer=settings.layer, exact=exact)
    # On a GPU one batch is prepared while another is computed.
    at_once = 2 if device == "cuda" else threads or count_available_threads()
    return FrozenEncoder(engine, loaded, settings, threads=at_once)
