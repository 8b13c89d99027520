"""A small model whose items were really read: a tiny saved encoder, and towers that go by the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import torch

from learn.config.settings import Settings
from learn.content.encoder import load_encoder
from learn.content.fingerprint import compute_fingerprint
from learn.content.prompt import ItemPrompt, join_fields, split_fields
from learn.content.source import resolve_encoder
from learn.model.towers import Towers
from learn.registry.bundle import Manifest
from tests.content.tiny_models import save_bert
from tests.serving.synthetic_model import BundleParts

TRAINED, UNTRAINED = 110, 10


def title_of(row: int) -> str:
    draw = np.random.default_rng(row)
    return " ".join("".join(draw.choice(list("abcdefghijklmnop"), 5)) for _ in range(3))


@torch.inference_mode()
def readable_parts(
    encoder: Path, *, seed: int = 0, data_version: str = "read", field_vectors: tuple[str, ...] = ()
) -> BundleParts:
    """Items of which the last few were never trained on; ``seed`` is of the towers' weights."""
    if not encoder.exists():
        save_bert(encoder)
    settings = Settings.from_mapping(
        {
            "content": {"encoder": str(encoder), "max_tokens": 48, "field_vectors": field_vectors},
            "towers": {"dimension": 8, "max_history": 6, "cooccurrence_rank": 4},
        }
    )
    count = TRAINED + UNTRAINED
    items = pl.DataFrame(
        {
            "item_id": [f"i{row}" for row in range(count)],
            "title": [title_of(row) for row in range(count)],
            "shelf": [f"s{row % 4}" for row in range(count)],
            "training_interactions": [3] * TRAINED + [0] * UNTRAINED,
            "recent_interactions": [row % 5 for row in range(count)],
        }
    )
    prompt, source = ItemPrompt(settings.content), resolve_encoder(str(encoder))
    texts = split_fields(prompt.render(items), blocks=prompt.blocks)
    vectors = load_encoder(settings.content, source=source, threads=1).encode(texts)
    content = torch.from_numpy(join_fields(vectors, texts, blocks=prompt.blocks))
    torch.manual_seed(seed)
    towers = Towers(settings.towers, content_dimension=content.shape[1], id_count=TRAINED).eval()
    towers.whitening.fit(content)
    assert towers.text is not None
    assert towers.adaptor is not None
    assert towers.id_table is not None
    torch.nn.init.normal_(towers.adaptor.weight)
    torch.nn.init.normal_(towers.id_table.weight)
    # The text decides, so that what is close can be told from the titles.
    towers.text.weight.fill_(20.0)
    rows = torch.tensor([row if row < TRAINED else -1 for row in range(count)])
    inputs = towers.compute_item_inputs(content, rows)
    fingerprint = compute_fingerprint(source, settings.content, template_version=prompt.template_version)
    return BundleParts(
        towers=towers,
        items=items,
        item_inputs=inputs.numpy(),
        item_vectors=towers.encode_items(inputs).numpy(),
        manifest=Manifest(data_version=data_version, encoder_fingerprint=fingerprint.digest, settings=settings),
    )
