from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer, T5Config, T5Model

from learn.config import ContentSettings
from learn.content.encoder import FrozenEncoder, load_encoder
from learn.content.fingerprint import fingerprint_encoder, resolve_encoder
from learn.errors import EncoderError
from tests.content.tiny_models import save_bert, save_llama

TEXTS = ["title: bolt", "", "a", "title: hex bolt m8 brand: acme", "x " * 80, "q9", "title: nut 5", "a", "ünknown ✓"]
Pooling = Literal["mean", "last", "cls"]


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


def encoder(folder: Path, **changes: Any) -> FrozenEncoder:
    threads = changes.pop("threads", 1)
    return load_encoder(ContentSettings(encoder=str(folder), tokens_per_batch=64, **changes), threads=threads)


def plain_vectors(folder: Path, texts: list[str], pooling: Pooling) -> np.ndarray[Any, np.dtype[np.float32]]:
    """One text, one forward pass, nothing of LEARN's."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=48)["input_ids"] or [tokenizer.eos_token_id]
        with torch.no_grad():
            states = model(torch.tensor([ids])).last_hidden_state[0]
        pooled = {"mean": states.mean(0), "last": states[-1], "cls": states[0]}[pooling]
        rows.append((pooled / pooled.norm()).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("pooling", ["mean", "last", "cls"])
@pytest.mark.parametrize("shape", ["bert", "llama"])
def test_batches_agree_with_plain_forward_passes(shape: str, pooling: Pooling, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(shape)
    found = encoder(folder, pooling=pooling).encode(TEXTS)
    cosines = (found * plain_vectors(folder, TEXTS, pooling)).sum(axis=1)
    assert found.dtype == np.float32
    assert cosines.min() >= 0.99999
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    texts=st.lists(st.text("abc 12", max_size=60), min_size=1, max_size=30),
    seed=st.randoms(),
    threads=st.integers(1, 3),
)
def test_a_vector_is_the_same_bytes_in_any_company(bert: Path, texts: list[str], seed: Any, threads: int) -> None:
    alone = np.concatenate([encoder_once(bert, 1).encode([text]) for text in texts])
    order = list(range(len(texts)))
    seed.shuffle(order)
    together = encoder_once(bert, threads).encode([texts[row] for row in order])
    assert np.array_equal(together, alone[order])


_LOADED: dict[tuple[Path, int], FrozenEncoder] = {}


def encoder_once(folder: Path, threads: int) -> FrozenEncoder:
    if (folder, threads) not in _LOADED:
        _LOADED[folder, threads] = encoder(folder, threads=threads)
    return _LOADED[folder, threads]


def test_bfloat16_stays_close(bert: Path) -> None:
    half = encoder(bert, dtype="bfloat16").encode(TEXTS)
    assert half.dtype == np.float32
    assert (half * encoder(bert).encode(TEXTS)).sum(axis=1).min() > 0.999


def test_no_text_gives_no_vector(bert: Path) -> None:
    assert encoder(bert).encode([]).shape == (0, 32)


def test_only_the_beginning_of_a_text_is_read(bert: Path) -> None:
    short = encoder(bert, max_tokens=10)
    assert np.array_equal(short.encode(["abcdefgh" + "x" * 50]), short.encode(["abcdefgh"]))


def test_progress_counts_every_text_and_token(bert: Path) -> None:
    seen: list[tuple[int, int]] = []
    encoder(bert).encode(TEXTS, progress=lambda texts, tokens: seen.append((texts, tokens)))
    tokenizer: Any = AutoTokenizer.from_pretrained(bert)
    tokens = [len(ids) for ids in tokenizer(TEXTS, truncation=True, max_length=48)["input_ids"]]
    assert (sum(texts for texts, _ in seen), sum(count for _, count in seen)) == (len(TEXTS), sum(tokens))


def test_threads_of_torch_are_as_they_were(bert: Path) -> None:
    before = torch.get_num_threads()
    encoder(bert, threads=2).encode(TEXTS)
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_minilm_agrees_with_plain_forward_passes() -> None:
    folder = resolve_encoder("all-MiniLM-L6-v2").folder
    texts = [*TEXTS[:4], "Acme hex bolt M8 x 40, stainless steel", "a set of six drinking glasses"]
    found = load_encoder(ContentSettings(), threads=1).encode(texts)
    assert found.shape == (6, 384)
    assert (found * plain_vectors(folder, texts, "mean")).sum(axis=1).min() >= 0.99999


@pytest.mark.slow
def test_minilm_gives_the_same_bytes_in_any_company() -> None:
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
    whole = load_encoder(ContentSettings(), threads=2).encode(texts)
    parts = load_encoder(ContentSettings(tokens_per_batch=64), threads=1)
    assert np.array_equal(whole, np.concatenate([parts.encode(texts[:7]), parts.encode(texts[7:])]))


@pytest.mark.parametrize(
    ("name", "hint"),
    [("all-minilm-l6", "did you mean `all-MiniLM-L6-v2`"), ("no/such/folder", "use `all-MiniLM-L6-v2`")],
)
def test_an_unknown_encoder_is_named_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(EncoderError, match="no encoder") as caught:
        resolve_encoder(name)
    assert hint in caught.value.fix
    assert "folder" in caught.value.fix


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("config.json", "config.json is missing"),
        ("model.safetensors", "weights are missing"),
        ("tokenizer.json", "no tok"),
    ],
)
def test_an_incomplete_folder_says_what_is_missing(bert: Path, tmp_path: Path, lost: str, said: str) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    (folder / lost).unlink()
    with pytest.raises(EncoderError, match=said):
        resolve_encoder(str(folder))


def test_pickled_weights_are_refused(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="pickles"):
        resolve_encoder(str(folder))


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
    with pytest.raises(EncoderError, match="decoder behind it"):
        encoder(folder)


def test_numbers_that_are_not_finite_stop_the_pass(bert: Path) -> None:
    broken = encoder(bert)
    with torch.inference_mode():
        broken._model.embeddings.word_embeddings.weight.fill_(float("nan"))
    with pytest.raises(EncoderError, match="not finite"):
        broken.encode(["a"])


def test_the_fingerprint_knows_every_byte_and_setting(bert: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(bert, tmp_path / "tiny-bert"))
    base = ContentSettings()
    first = fingerprint_encoder(resolve_encoder(str(bert)), base, template_version="1")
    assert first == fingerprint_encoder(resolve_encoder(str(moved)), base, template_version="1")
    assert first.name == "tiny-bert"
    others = {first.digest, fingerprint_encoder(resolve_encoder(str(bert)), base, template_version="2").digest}
    for changed in (ContentSettings(pooling="cls"), ContentSettings(max_tokens=9), ContentSettings(dtype="bfloat16")):
        others.add(fingerprint_encoder(resolve_encoder(str(bert)), changed, template_version="1").digest)
    tokenizer = moved / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    others.add(fingerprint_encoder(resolve_encoder(str(moved)), base, template_version="1").digest)
    assert len(others) == 6
