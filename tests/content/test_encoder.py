from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer, T5Config, T5Model

from learn.config.content import ContentSettings
from learn.content.encoder import Engine, FrozenEncoder, load_encoder
from learn.content.fingerprint import list_computable_arithmetics
from learn.content.source import resolve_encoder
from learn.errors import EncoderError
from tests.content.tiny_models import BIDIRECTIONAL, DECODERS, save_shape

TEXTS = ["title: bolt", "", "a", "title: hex bolt m8 brand: acme", "x " * 80, "q9", "title: nut 5", "a", "ünknown ✓"]
Pooling = Literal["mean", "last", "cls"]
REPEATABLE = list_computable_arithmetics(ContentSettings())
"""Arithmetics of this machine in which a vector is a function of its text alone."""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {shape: save_shape(shape, folder / f"tiny-{shape}") for shape in (*BIDIRECTIONAL, *DECODERS)}


@pytest.fixture(scope="session")
def bert(shapes: dict[str, Path]) -> Path:
    return shapes["bert"]


@pytest.fixture(scope="session")
def llama(shapes: dict[str, Path]) -> Path:
    return shapes["llama"]


def encoder(folder: Path, **changes: Any) -> FrozenEncoder:
    threads = changes.pop("threads", 1)
    given = {"arithmetic": "float32", "tokens_per_batch": 64} | changes
    return load_encoder(ContentSettings(encoder=str(folder), **given), threads=threads)


def plain_vectors(folder: Path, texts: list[str], pooling: Pooling, *, layer: int = -1, instruction: str = "") -> Any:
    """One text, one forward pass, nothing of LEARN's."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        ids = tokenizer(instruction + text)["input_ids"]
        marked = bool(ids) and ids[-1] == tokenizer.sep_token_id
        if pooling == "last" and not marked:
            ids = [*ids[:47], tokenizer.eos_token_id]
        # What is cut off is text; the token at the end stays.
        ids = [*ids[:47], ids[-1]] if marked and len(ids) > 48 else ids[:48]
        with torch.no_grad():
            answer = model(torch.tensor([ids or [tokenizer.eos_token_id]]), output_hidden_states=True)
        states = answer.last_hidden_state[0] if layer == -1 else answer.hidden_states[layer][0]
        pooled = {"mean": states.mean(0), "last": states[-1], "cls": states[0]}[pooling]
        rows.append((pooled / pooled.norm()).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("pooling", ["mean", "last", "cls"])
@pytest.mark.parametrize("shape", [*BIDIRECTIONAL, *DECODERS])
def test_batches_agree_with_plain_forward_passes(shape: str, pooling: Pooling, shapes: dict[str, Path]) -> None:
    found = encoder(shapes[shape], pooling=pooling).encode(TEXTS)
    assert found.dtype == np.float32
    assert (found * plain_vectors(shapes[shape], TEXTS, pooling)).sum(axis=1).min() >= 0.99999
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "last", "cls"])
@pytest.mark.parametrize("shape", [*BIDIRECTIONAL, *DECODERS])
def test_padded_batches_agree_with_plain_forward_passes(
    shape: str, pooling: Pooling, shapes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    padding = encoder(shapes[shape], pooling=pooling, tokens_per_batch=4096)
    padding._engine.exact = False
    # All texts in one batch, an empty one next to the longest.
    monkeypatch.setattr("learn.content.encoder.MOST_PADDING", 1.0)
    found = padding.encode(TEXTS)
    assert (found * plain_vectors(shapes[shape], TEXTS, pooling)).sum(axis=1).min() >= 0.9999


@pytest.mark.parametrize("layer", [-2, 0, 1])
@pytest.mark.parametrize("shape", ["modernbert", "llama"])
def test_any_layer_can_be_pooled(shape: str, layer: int, shapes: dict[str, Path]) -> None:
    found = encoder(shapes[shape], layer=layer).encode(TEXTS)
    assert (found * plain_vectors(shapes[shape], TEXTS, "mean", layer=layer)).sum(axis=1).min() >= 0.9999


def test_a_layer_that_is_not_there_is_an_error(bert: Path) -> None:
    with pytest.raises(EncoderError, match="2 layers; there is no layer -4"):
        encoder(bert, layer=-4)


@pytest.mark.parametrize("shape", ["bert", "qwen3"])
def test_the_instruction_stands_before_every_text(shape: str, shapes: dict[str, Path]) -> None:
    found = encoder(shapes[shape], instruction="query: ").encode(TEXTS)
    expected = plain_vectors(shapes[shape], TEXTS, "mean", instruction="query: ")
    assert (found * expected).sum(axis=1).min() >= 0.9999


def test_a_long_text_keeps_its_beginning_and_its_end_of_text(llama: Path) -> None:
    last = encoder(llama, pooling="last", max_tokens=12)
    assert last._tokenise(["ab" * 50])[0] == [*last._tokenise(["ab" * 50 + "c"])[0][:11], 3]
    assert len(last._tokenise(["ab" * 50])[0]) == 12


def test_a_tokenizer_that_cuts_the_beginning_off_is_told_not_to(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.truncation_side = "left"
    tokenizer.save_pretrained(folder)
    short = encoder(folder, max_tokens=10)
    assert np.array_equal(short.encode(["abcdefgh" + "x" * 50]), short.encode(["abcdefgh"]))


@pytest.mark.parametrize("arithmetic", REPEATABLE)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    texts=st.lists(st.text("abc 12", max_size=60), min_size=1, max_size=30),
    seed=st.randoms(),
    threads=st.integers(1, 3),
)
def test_a_vector_is_the_same_bytes_in_any_company(
    bert: Path, arithmetic: str, texts: list[str], seed: Any, threads: int
) -> None:
    alone = np.concatenate([encoder_once(bert, 1, arithmetic).encode([text]) for text in texts])
    order = list(range(len(texts)))
    seed.shuffle(order)
    together = encoder_once(bert, threads, arithmetic).encode([texts[row] for row in order])
    assert np.array_equal(together, alone[order])


_LOADED: dict[tuple[Path, int, str], FrozenEncoder] = {}


def encoder_once(folder: Path, threads: int, arithmetic: str) -> FrozenEncoder:
    key = folder, threads, arithmetic
    if key not in _LOADED:
        _LOADED[key] = encoder(folder, threads=threads, arithmetic=arithmetic)
    return _LOADED[key]


def test_bfloat16_stays_close(bert: Path) -> None:
    half = encoder(bert, arithmetic="bfloat16").encode(TEXTS)
    assert half.dtype == np.float32
    assert (half * encoder(bert).encode(TEXTS)).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("shape", ["bert", "roberta", "llama", "qwen2"])
def test_int8_stays_near(shape: str, shapes: dict[str, Path]) -> None:
    near, plain = encoder(shapes[shape], arithmetic="int8").encode(TEXTS), encoder(shapes[shape]).encode(TEXTS)
    assert (near * plain).sum(axis=1).min() > 0.98
    # With AVX512-VNNI tiny models come within 1e-7: that they are near does not say that they are quantised.
    assert not np.array_equal(near, plain)


@pytest.mark.slow
def test_short_memory_makes_smaller_batches() -> None:
    """In a process of its own, whose memory cannot grow by what the batch would take."""
    code = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np
from learn.config import ContentSettings
from learn.content.encoder import load_encoder
from tests.content.tiny_models import save_bert
folder = save_bert(Path(tempfile.mkdtemp()) / "model")
texts = ["abcdefgh" * 5] * 20_000
def encoder(budget):
    settings = ContentSettings(encoder=str(folder), arithmetic="float32", tokens_per_batch=budget)
    return load_encoder(settings, threads=1)
small, large = encoder(2_048), encoder(1_000_000)
expected = small.encode(texts[:50])
large.encode(texts[:10])
pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + 400 * 2**20, -1))
found = large.encode(texts)
assert np.allclose(found[:50], expected, atol=1e-6) and np.isfinite(found).all()
print(large.tokens_per_batch)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert 42 <= int(done.stdout) <= 500_000


class TightEngine:
    """An engine whose memory holds only so many texts at a time."""

    def __init__(self, engine: Engine, *, texts: int) -> None:
        self.exact, self.device = engine.exact, engine.device
        self._engine, self._texts = engine, texts

    def encode_tokens(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if len(ids) > self._texts:
            raise MemoryError
        return self._engine.encode_tokens(ids, mask)


def test_batches_too_large_for_the_memory_are_cut_until_they_fit(bert: Path) -> None:
    texts = [f"{number:02} {'abcdefgh' * 5}" for number in range(23)]
    tight = encoder(bert, tokens_per_batch=2_000)
    tight._engine = TightEngine(tight._engine, texts=3)
    assert np.array_equal(tight.encode(texts), encoder(bert).encode(texts))
    assert tight.tokens_per_batch <= 3 * 48
    tight._engine = TightEngine(tight._engine, texts=0)
    with pytest.raises(EncoderError, match="There is not enough memory to encode one text of 44 tokens"):
        tight.encode(texts)


class CountingEngine:
    """An engine that notes how many tokens each pass holds."""

    def __init__(self, engine: Engine) -> None:
        self.exact, self.device = engine.exact, engine.device
        self.tokens: list[int] = []
        self._engine = engine

    def encode_tokens(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        self.tokens.append(ids.numel())
        return self._engine.encode_tokens(ids, mask)


def test_no_pass_is_so_small_that_other_kernels_would_compute_it(bert: Path) -> None:
    counted = encoder(bert)
    counted._engine = engine = CountingEngine(counted._engine)
    counted.encode(["a", "bolt", "x" * 30, "y" * 80])
    assert len(engine.tokens) == 4
    assert min(engine.tokens) >= 64


def test_no_text_gives_no_vector(bert: Path) -> None:
    assert encoder(bert).encode([]).shape == (0, 32)


def test_only_the_beginning_of_a_text_is_read(bert: Path) -> None:
    short = encoder(bert, max_tokens=10)
    assert np.array_equal(short.encode(["abcdefgh" + "x" * 50]), short.encode(["abcdefgh"]))


@pytest.mark.parametrize("exact", [True, False])
def test_progress_counts_every_text_token_and_filling(bert: Path, exact: bool) -> None:
    told = encoder(bert, tokens_per_batch=4096)
    told._engine.exact = exact
    seen: list[tuple[int, int, int]] = []
    told.encode([*TEXTS, *["a" * (30 + n % 2) for n in range(50)]], progress=lambda *counts: seen.append(counts))
    texts, tokens, padding = (sum(counts) for counts in zip(*seen, strict=True))
    lengths = [len(ids) for ids in told._tokenise([*TEXTS, *["a" * (30 + n % 2) for n in range(50)]])]
    assert (texts, tokens) == (len(lengths), sum(lengths))
    assert (padding == 0) == exact
    assert padding <= 0.05 * (tokens + padding)


def test_threads_of_torch_are_as_they_were(bert: Path) -> None:
    before = torch.get_num_threads()
    encoder(bert, threads=2).encode(TEXTS)
    assert torch.get_num_threads() == before


def test_many_threads_may_encode_at_once(bert: Path) -> None:
    shared = encoder(bert, threads=2)
    before = torch.get_num_threads()
    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(lambda text: shared.encode([text])[0], TEXTS * 4))
    alone = encoder(bert)
    assert np.array_equal(np.stack(found), np.stack([alone.encode([text])[0] for text in TEXTS * 4]))
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_minilm_agrees_with_plain_forward_passes() -> None:
    folder = resolve_encoder("all-MiniLM-L6-v2").folder
    texts = [*TEXTS[:4], "Acme hex bolt M8 x 40, stainless steel", "a set of six drinking glasses"]
    found = load_encoder(ContentSettings(arithmetic="float32"), threads=1).encode(texts)
    assert found.shape == (6, 384)
    assert (found * plain_vectors(folder, texts, "mean")).sum(axis=1).min() >= 0.99999


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", REPEATABLE)
def test_minilm_gives_the_same_bytes_in_any_company(arithmetic: str) -> None:
    words = [
        "acme",
        "hex",
        "bolt",
        "stainless",
        "steel",
        "set",
        "of",
        "six",
        "large",
        "red",
        "drinking",
        "glass",
        "with",
        "lid",
    ]
    texts = [" ".join(words[number % 7 : number % 7 + 1 + number % 5]) + f" {number % 10}" for number in range(60)]
    whole = load_encoder(ContentSettings(), threads=2, arithmetic=arithmetic).encode(texts)
    parts = load_encoder(ContentSettings(tokens_per_batch=64), threads=1, arithmetic=arithmetic)
    assert np.array_equal(whole, np.concatenate([parts.encode(texts[:7]), parts.encode(texts[7:])]))


def test_broken_weights_are_one_clear_error(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(EncoderError, match="cannot be loaded"):
        encoder(folder)


def test_lost_weights_are_not_made_up(llama: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llama, tmp_path / "model"))
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    with pytest.raises(EncoderError, match="weights are missing"):
        encoder(folder)


def test_an_encoder_with_a_decoder_is_refused(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    T5Model(T5Config(vocab_size=64, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)).save_pretrained(folder)
    with pytest.raises(EncoderError, match="gives no vector for a text"):
        encoder(folder)


def test_numbers_that_are_not_finite_stop_the_pass(bert: Path) -> None:
    broken = encoder(bert)
    engine: Any = broken._engine
    with torch.inference_mode():
        engine._model.embeddings.word_embeddings.weight.fill_(float("nan"))
    with pytest.raises(EncoderError, match="not finite"):
        broken.encode(["a"])
