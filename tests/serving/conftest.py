from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from learn.registry.bundle import Bundle, read_bundle
from learn.registry.store import store_bundle
from learn.serving.package import build_bento
from tests.serving.synthetic_model import BundleParts, made_up_parts


@pytest.fixture(scope="session", autouse=True)
def bento_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """BentoML's stores of this session: no test touches the ones of anyone who runs it."""
    home = tmp_path_factory.mktemp("bentoml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def parts() -> BundleParts:
    return made_up_parts()


@pytest.fixture(scope="session")
def bundle_folder(parts: BundleParts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parts.write(tmp_path_factory.mktemp("bundles") / "bundle")


@pytest.fixture(scope="session")
def bundle(bundle_folder: Path) -> Bundle:
    return read_bundle(bundle_folder)


@pytest.fixture(scope="session")
def another_bundle_folder(parts: BundleParts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the same catalogue and another version."""
    other = parts.manifest.model_copy(update={"data_version": "another"})
    return replace(parts, manifest=other).write(tmp_path_factory.mktemp("bundles") / "another")


@pytest.fixture(scope="session")
def bento_tag(bundle_folder: Path) -> str:
    return build_bento(model_tag=store_bundle(bundle_folder, name="learn_user_tower"))
