"""The same data, settings and seed give the same bytes, however the work was shared out and in whichever process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.content.tiny_models import save_bert
from tests.synthetic_shop import histories

ROOT = Path(__file__).resolve().parents[1]

_RUN = """
import sys
from pathlib import Path
from learn.config import Settings
from learn.content import collect_vectors, encode_shard, plan_extraction
from learn.evaluation.selection import train_selected
from learn.model.inputs import RunInputs

shop, encoder, place, shards, order = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
place.mkdir()
settings = Settings.from_toml(f'''
workspace = "{place}"
[content]
encoder = "{encoder}"
shards = {shards}
part_items = {5 if shards == 3 else 4096}
[towers]
dimension = 16
cooccurrence_rank = 8
[training]
epochs = 2
''')
plan = plan_extraction(shop / "tables" / "items.parquet", store=settings.content_store, settings=settings.content,
                       folder=place / "plan")
assert len(plan.shards) == shards, len(plan.shards)
work = list(plan.shards)[::-1] if order == "backwards" else list(plan.shards)
done = {shard: encode_shard(plan, shard) for shard in work}
content = collect_vectors(plan, [done[shard] for shard in plan.shards], destination=place / "content")
trained = train_selected(RunInputs(settings, shop / "tables", shop / "histories", content.path))
assert not trained.reused
print(content.path)
print(trained.folder / "towers.safetensors")
"""


@dataclass(frozen=True)
class Way:
    """One way of doing the same work, in a process with its own order of sets."""

    name: str
    shards: int
    order: str
    hash_seed: int


WAYS = (Way("once", 1, "forwards", 1), Way("again", 1, "forwards", 2), Way("shared", 3, "backwards", 3))


@pytest.mark.slow
def test_vectors_and_weights_are_the_same_bytes_in_each_process_and_for_each_number_of_shards(tmp_path: Path) -> None:
    histories(tmp_path / "shop")
    encoder = save_bert(tmp_path / "encoder")

    def digests(way: Way) -> list[str]:
        place = tmp_path / way.name
        words = [str(tmp_path / "shop"), str(encoder), str(place), str(way.shards), way.order]
        done = subprocess.run(
            [sys.executable, "-c", _RUN, *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(way.hash_seed), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        files = [Path(line) for line in done.stdout.splitlines()[-2:]]
        return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]

    with ThreadPoolExecutor(2) as pool:
        once, again, shared = pool.map(digests, WAYS)
    assert once == again
    assert once == shared
