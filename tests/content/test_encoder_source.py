from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants

from learn.config.content import ContentSettings
from learn.content.encoder import load_encoder
from learn.content.fingerprint import EncoderFingerprint, compute_content_keys, compute_fingerprint, list_arithmetics
from learn.content.source import resolve_encoder
from learn.errors import EncoderError
from tests.content.tiny_models import save_bert

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no hub behind it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "hub"


def put_into(cache: Path, model: Path, *, commit: str = COMMIT) -> Path:
    folder = cache / "models--acme--tiny"
    shutil.copytree(model, folder / "snapshots" / commit)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return folder / "snapshots" / commit


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_a_model_in_the_hubs_cache_is_taken_by_its_commit(bert: Path, cache: Path, revision: str) -> None:
    folder = put_into(cache, bert)
    source = resolve_encoder(f"acme/tiny{revision}")
    assert (source.name, source.revision, source.folder) == ("acme/tiny", COMMIT, folder)
    assert load_encoder(ContentSettings(encoder=f"acme/tiny{revision}"), threads=1).encode(["a"]).shape == (1, 32)


def test_the_key_knows_the_commit_and_no_moving_name(bert: Path, cache: Path) -> None:
    put_into(cache, bert)
    settings = ContentSettings(encoder="acme/tiny")
    by_name, by_branch, by_commit = (
        compute_fingerprint(resolve_encoder(f"acme/tiny{revision}"), settings, template_version="1")
        for revision in ("", "@main", f"@{COMMIT}")
    )
    assert by_name == by_branch == by_commit
    put_into(cache, bert, commit="f" * 40)
    moved = compute_fingerprint(resolve_encoder("acme/tiny"), settings, template_version="1")
    assert moved.digest != by_name.digest


def test_without_a_network_the_cache_is_asked_for_and_the_way_out_told(cache: Path) -> None:
    with pytest.raises(
        EncoderError, match="not in the hub's cache on this machine, and the hub cannot be reached"
    ) as told:
        resolve_encoder("acme/tiny")
    assert "hf download acme/tiny" in told.value.fix
    assert not list(cache.glob("models--*/snapshots/*"))


class _Hub(BaseHTTPRequestHandler):
    """Refuses as the hub does: by status and by the code in its header."""

    refusal = (404, "RepoNotFound")

    def do_GET(self) -> None:
        self.send_response(self.refusal[0])
        self.send_header("X-Error-Code", self.refusal[1])
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the base class names it so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    assert not cache.exists()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield _Hub
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code", "said", "fix"),
    [
        (404, "RepoNotFound", "no model `acme/tiny`, or it is private", "log in"),
        (404, "RevisionNotFound", "has no revision `v9`", "a full commit"),
        (403, "GatedRepo", "is gated", "accept them"),
    ],
)
def test_what_the_hub_refuses_is_told_with_what_to_do(
    hub: type[_Hub], monkeypatch: pytest.MonkeyPatch, status: int, code: str, said: str, fix: str
) -> None:
    monkeypatch.setattr(hub, "refusal", (status, code))
    with pytest.raises(EncoderError, match=said) as told:
        resolve_encoder("acme/tiny@v9")
    assert fix in told.value.fix


def test_a_model_of_the_hub_without_safetensors_is_refused(bert: Path, cache: Path) -> None:
    folder = put_into(cache, bert)
    (folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"is incomplete.*no \*\.safetensors") as told:
        resolve_encoder("acme/tiny")
    assert "pickles are not opened" in told.value.fix


def test_a_lost_file_of_the_weights_is_named(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EncoderError, match="1 files of the model's weights are missing, for example model-00002"):
        resolve_encoder(str(folder))


OWN_CODE = """
from transformers import BertConfig, BertModel
class OddConfig(BertConfig):
    model_type = "odd"
class OddModel(BertModel):
    config_class = OddConfig
"""


@pytest.fixture
def odd(bert: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(bert, tmp_path / "odd"))
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "odd.OddConfig", "AutoModel": "odd.OddModel"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "odd", "auto_map": own}))
    (folder / "odd.py").write_text(OWN_CODE)
    return folder


def test_a_models_own_code_is_not_run_unasked(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for trusted in ("", "acme/other"):
        with pytest.raises(EncoderError, match="its own Python code") as told:
            load_encoder(ContentSettings(encoder=str(odd), trust_remote_code=trusted), threads=1)
        assert "trust_remote_code" in told.value.fix


def test_a_model_that_is_trusted_by_name_runs_its_own_code(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    trusted = ContentSettings(encoder=str(odd), trust_remote_code=str(odd))
    assert load_encoder(trusted, threads=1).encode(["a"]).shape == (1, 32)
    source = resolve_encoder(str(odd), trusted=str(odd))
    before = compute_fingerprint(source, trusted, template_version="1")
    (odd / "odd.py").write_text(OWN_CODE + "\n")
    assert compute_fingerprint(source, trusted, template_version="1").digest != before.digest


@pytest.mark.parametrize(
    ("name", "hint"),
    [("all-minilm-l6", "did you mean `all-MiniLM-L6-v2`"), ("./no/such/folder", "use `all-MiniLM-L6-v2`")],
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


def test_the_fingerprint_knows_every_byte_and_setting(bert: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(bert, tmp_path / "tiny-bert"))
    base = ContentSettings()
    first = compute_fingerprint(resolve_encoder(str(bert)), base, template_version="1")
    assert first == compute_fingerprint(resolve_encoder(str(moved)), base, template_version="1")
    assert first.name == "tiny-bert"
    others = {first.digest, compute_fingerprint(resolve_encoder(str(bert)), base, template_version="2").digest}
    settings: list[dict[str, Any]] = [
        {"pooling": "cls"}, {"pooling": "last"}, {"max_tokens": 9}, {"arithmetic": "bfloat16"}, {"arithmetic": "int8"},
        {"layer": -2}, {"instruction": "query: "},
    ]  # fmt: skip
    for changed in map(ContentSettings.model_validate, settings):
        others.add(compute_fingerprint(resolve_encoder(str(bert)), changed, template_version="1").digest)
    tokenizer = moved / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    others.add(compute_fingerprint(resolve_encoder(str(moved)), base, template_version="1").digest)
    assert len(others) == 10


def test_the_fingerprint_knows_which_file_holds_what(bert: Path, tmp_path: Path) -> None:
    digests = set()
    for name in ("vocab.txt", "vocab.json"):
        folder = Path(shutil.copytree(bert, tmp_path / name / "tiny-bert"))
        (folder / name).write_text("a")
        digests.add(compute_fingerprint(resolve_encoder(str(folder)), ContentSettings(), template_version="1").digest)
    assert len(digests) == 2


def test_keys_of_earlier_vectors_hold() -> None:
    """A setting that was not there when they were made is left out of the key while it is at its default."""
    made = EncoderFingerprint("tiny", "local", "ab" * 32, "mean", 256, "float32", "1")
    plain = {
        "dtype": "float32", "max_tokens": 256, "name": "tiny", "pooling": "mean", "revision": "local",
        "template_version": "1", "weights_sha256": "ab" * 32,
    }  # fmt: skip
    assert made.digest == hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def test_a_text_has_another_key_under_every_encoder_and_the_same_one_for_good() -> None:
    made = EncoderFingerprint("tiny", "local", "ab" * 32, "mean", 256, "float32", "1")
    prints = [made, replace(made, weights_sha256="cd" * 32), replace(made, layer=-2)]
    keys = np.concatenate([compute_content_keys(["hex bolt", "hex bolt M8", ""], each) for each in prints])
    assert len(np.unique(keys)) == 9
    plain = made._to_bytes() + b"\0"
    assert keys[:3].tolist() == [hashlib.sha256(plain + text).digest() for text in (b"hex bolt", b"hex bolt M8", b"")]


def test_only_the_choice_left_open_accepts_several_arithmetics() -> None:
    assert list_arithmetics(ContentSettings()) == ("float32", "bfloat16")
    assert list_arithmetics(ContentSettings(arithmetic="int8")) == ("int8",)
