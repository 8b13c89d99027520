from __future__ import annotations

from pathlib import Path

import pytest
import torch

from learn.config.content import ContentSettings
from learn.content.fingerprint import choose_arithmetic, choose_fingerprint, list_computable_arithmetics
from learn.content.source import resolve_encoder
from tests.content.tiny_models import save_bert

HAS = torch.cpu.get_capabilities()
HALVES = bool(torch.cuda.is_available() or HAS.get("avx512_bf16") or HAS.get("amx_bf16"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


def settled(folder: Path, held: dict[str, int], missing: dict[str, int] | None = None, arithmetic: str = "auto") -> str:
    """Stores are told by the number of their vectors and of the texts they lack."""
    settings = ContentSettings.model_validate({"encoder": str(folder), "arithmetic": arithmetic})
    return choose_fingerprint(
        resolve_encoder(str(folder)),
        settings,
        template_version="1",
        held=lambda each: held.get(each.dtype, 0) > 0,
        missing=lambda each: (missing or {})[each.dtype],
    ).dtype


def test_what_the_settings_name_is_taken(bert: Path) -> None:
    assert settled(bert, {"float32": 9}, arithmetic="int8") == "int8"


def test_a_store_that_has_vectors_decides(bert: Path) -> None:
    assert settled(bert, {"float32": 9}) == "float32"


def test_of_two_stores_the_one_that_lacks_least_decides(bert: Path) -> None:
    assert settled(bert, {"float32": 9, "bfloat16": 9}, {"float32": 3, "bfloat16": 0}) == "bfloat16"
    assert settled(bert, {"float32": 9, "bfloat16": 9}, {"float32": 0, "bfloat16": 0}) == "float32"


@pytest.mark.skipif(HALVES, reason="this machine computes in bfloat16")
def test_a_store_in_an_arithmetic_that_this_machine_lacks_serves_while_it_lacks_nothing(bert: Path) -> None:
    assert settled(bert, {"bfloat16": 9}, {"bfloat16": 0}) == "bfloat16"
    assert settled(bert, {"bfloat16": 9}, {"bfloat16": 1}) == "float32"


def test_the_processor_decides_and_no_stop_watch(bert: Path) -> None:
    settings = ContentSettings(encoder=str(bert))
    assert list_computable_arithmetics(settings) == (("float32", "bfloat16") if HALVES else ("float32",))
    assert choose_arithmetic(resolve_encoder(str(bert)), settings) == list_computable_arithmetics(settings)[-1]


@pytest.mark.skipif(not HALVES, reason="this machine does not compute in bfloat16")
def test_an_encoder_that_does_not_bear_bfloat16_computes_in_float32(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learn.content.fingerprint._LEAST_COSINE", 1.1)
    assert choose_arithmetic(resolve_encoder(str(bert)), ContentSettings(encoder=str(bert))) == "float32"
