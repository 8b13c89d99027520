from __future__ import annotations

from pathlib import Path

import pytest

from learn.config.serving import ServingSettings
from learn.errors import ServingError
from learn.registry.aliases import find_aliases_path
from learn.serving.service import claim, find_state_folder


def test_state_lies_beside_the_aliases_unless_told_otherwise(tmp_path: Path) -> None:
    assert find_state_folder(ServingSettings(state=tmp_path)) == tmp_path
    assert find_state_folder(ServingSettings()) == find_aliases_path().parent


def test_a_folder_is_taken_once_and_can_be_taken_again(tmp_path: Path) -> None:
    first = claim(tmp_path / "state")
    with pytest.raises(ServingError, match="Another process uses"):
        claim(tmp_path / "state", wait_seconds=0)
    first.release()
    claim(tmp_path / "state", wait_seconds=0).release()
