"""The ablation: every row under both protocols, each with its interval, and nothing done twice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from learn.cli import learn
from learn.config.model import TowerSettings, TrainingSettings
from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.errors import SettingsError
from learn.evaluation.ablation import ROWS, STEPS, TRAINED, choose_row_settings, read_ablation_settings
from learn.evaluation.baselines import ContentNeighbours
from learn.evaluation.metrics import average_metrics
from learn.evaluation.prepare import prepare_folder
from learn.evaluation.ranking import rank_targets
from tests.content.tiny_models import save_bert

ROOT = Path(__file__).resolve().parents[2]
FAMILIES, MEMBERS, USERS = 4, 16, 60
METRICS = ("recall@10", "ndcg@10")
SMALL = """
[content]
encoder = "{encoder}"
[towers]
dimension = 16
blocks = 1
heads = 1
[training]
epochs = 3
learning_rate = 0.01
batch_positions = 256
[evaluation]
bootstrap_samples = 200
list_users = 20
"""


@dataclass(frozen=True)
class Shop:
    """A data folder, the settings for it, and the place where results go."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def ablation(self, *options: str) -> Result:
        words = ["--data", str(self.folder / "data"), "--config", str(self.folder / "settings.toml")]
        return CliRunner().invoke(learn, ["evaluate", "ablation", *words, "--out", str(self.results), *options])

    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.results / "ablation.json").read_text(encoding="utf-8"))
        return found


def write_data(folder: Path) -> None:
    """Tables of a shop whose users walk through one family of items in order, with a little noise."""
    draw = np.random.default_rng(0)
    items = [
        f"i{family}-{member},family {'abcd'[family] * 3} number {member}"
        for family in range(FAMILIES)
        for member in range(MEMBERS)
    ]
    interactions = []
    for user in range(USERS):
        family, member = draw.integers(FAMILIES), draw.integers(MEMBERS)
        for moment in range(int(draw.integers(4, 9))):
            member = (member + (1 if draw.random() < 0.9 else int(draw.integers(MEMBERS)))) % MEMBERS
            interactions.append(f"u{user},i{family}-{member},{moment}")
    folder.mkdir()
    (folder / "items.csv").write_text("\n".join(["item_id,title", *items, ""]), encoding="utf-8")
    text = "\n".join(["user_id,item_id,timestamp", *interactions, ""])
    (folder / "interactions.csv").write_text(text, encoding="utf-8")


def write_shop(folder: Path, settings: str = "") -> Shop:
    write_data(folder / "data")
    text = f'workspace = "{folder / "workspace"}"\n{settings}'
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    return Shop(folder)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Result]:
    folder = tmp_path_factory.mktemp("shop")
    shop = write_shop(folder, SMALL.format(encoder=save_bert(folder / "encoder")))
    done = shop.ablation()
    assert done.exit_code == 0, done.output
    return shop, done


def test_every_row_has_figures_under_both_protocols_within_their_intervals(first: tuple[Shop, Result]) -> None:
    found = first[0].figures()
    assert set(found["test"]) == set(ROWS)
    for name in ROWS:
        for masking in ("masked", "unmasked"):
            for metric in METRICS:
                low, high = found["intervals"]["test"][name][masking][metric]
                assert 0 <= low <= found["test"][name][masking][metric] <= high <= 1
                assert low < high


def test_the_tables_show_what_the_file_of_figures_holds(first: tuple[Shop, Result]) -> None:
    shop, done = first
    page = (shop.results / "ablation.md").read_text(encoding="utf-8")
    assert page in done.output
    unmasked, masked = page.split("## History masked")
    found = shop.figures()
    for name, label in ROWS.items():
        for text, masking in ((unmasked, "unmasked"), (masked, "masked")):
            row = next(line for line in text.splitlines() if line.startswith(f"| {label} "))
            shown = [f"{found['test'][name][masking][metric]:.4f} (" for metric in METRICS]
            assert [each in row for each in shown] == [True, True]


def test_a_step_is_the_second_row_minus_the_first(first: tuple[Shop, Result]) -> None:
    found = first[0].figures()
    for before, after in STEPS:
        for masking in ("masked", "unmasked"):
            for metric in METRICS:
                gap = found["differences"]["test"][after][before][masking][metric]
                rows = [found["test"][name][masking][metric] for name in (after, before)]
                assert gap["mean"] == pytest.approx(rows[0] - rows[1], abs=2e-6)
                assert gap["low"] <= gap["mean"] <= gap["high"]
                assert 0 < gap["p_value"] <= 1


def test_the_first_row_is_the_neighbours_by_content(first: tuple[Shop, Result]) -> None:
    shop, _ = first
    (made,) = (shop.folder / "workspace" / "experiments").iterdir()
    (histories,) = made.glob("histories-*")
    (content,) = made.glob("content-*/vectors.npy")
    opened = Histories.open(histories)
    ranks = rank_targets(ContentNeighbours.fit(np.load(content)), opened, opened.open_examples("test"), block_users=64)
    expected = average_metrics(ranks.unmasked, (10,))
    assert shop.figures()["test"]["none"]["unmasked"]["ndcg@10"] == pytest.approx(expected["ndcg@10"], abs=1e-6)


def test_the_papers_rows_differ_in_item_tower_and_loss_alone_and_the_last_is_the_defaults(
    first: tuple[Shop, Result],
) -> None:
    rows = first[0].figures()["rows"]
    *paper, default = (rows[name] for name in TRAINED)
    assert [row["towers"].pop("item_tower") for row in paper] == ["frozen", "shared", "shared_sequence"]
    losses = [row["training"].pop("loss") for row in paper]
    assert losses == ["auto", "auto", "dense_all_action"]
    assert all(row["towers"] == paper[0]["towers"] and row["training"] == paper[0]["training"] for row in paper)
    assert default["towers"] == TowerSettings().model_dump(mode="json")
    assert default["training"] == TrainingSettings().model_dump(mode="json")
    assert len({rows[name]["weights_sha256"] for name in TRAINED}) == len(TRAINED)


def test_the_same_command_again_encodes_and_trains_nothing_and_gives_the_same_bytes(
    first: tuple[Shop, Result],
) -> None:
    shop, done = first
    files = [shop.results / name for name in ("ablation.json", "ablation.md")]
    before = [file.read_bytes() for file in files]
    weights = {path: path.stat().st_mtime_ns for path in (shop.folder / "workspace").rglob("towers.safetensors")}
    again = shop.ablation()
    assert again.exit_code == 0, again.output
    assert done.output.count("taken from an earlier training") == 0
    assert again.output.count("taken from an earlier training") == len(TRAINED) == len(weights)
    assert "0 texts to encode" in again.output
    assert [file.read_bytes() for file in files] == before
    assert {path: path.stat().st_mtime_ns for path in weights} == weights


def test_a_folder_is_prepared_once_and_anew_when_its_data_change(first: tuple[Shop, Result], tmp_path: Path) -> None:
    shop, _ = first
    settings = read_ablation_settings(shop.folder / "settings.toml")
    said: list[str] = []
    taken = prepare_folder(shop.folder / "data", settings=settings, say=said.append)
    made = (taken.tables / "items.parquet").stat().st_mtime_ns
    write_data(tmp_path / "data")
    interactions = tmp_path / "data" / "interactions.csv"
    lines = interactions.read_text(encoding="utf-8").splitlines(keepends=True)
    interactions.write_text("".join(line for line in lines if not line.startswith("u7,")), encoding="utf-8")
    changed = prepare_folder(tmp_path / "data", settings=settings, say=said.append)
    assert changed.tables != taken.tables
    assert [each.open_histories().user_count for each in (changed, taken)] == [USERS - 1, USERS]
    assert (taken.tables / "items.parquet").stat().st_mtime_ns == made
    assert sum("0 texts to encode" in line for line in said) == 2


def test_what_a_file_names_wins_over_the_papers_laptop_size(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[towers]\nblocks = 3\n[split]\nmethod = "by_date"\n', encoding="utf-8")
    given, bare = read_ablation_settings(file), read_ablation_settings()
    assert (given.towers.blocks, given.split.method) == (3, "by_date")
    assert given.towers.model_copy(update={"blocks": bare.towers.blocks}) == bare.towers
    assert given.training == bare.training
    assert read_ablation_settings(file, split="leave_one_out", seed=7).split.method == "leave_one_out"
    assert read_ablation_settings(file, seed=7).seed == 7


def test_the_papers_own_file_is_followed() -> None:
    path = ROOT / "configs" / "paper.toml"
    paper = Settings.from_toml(path.read_text(encoding="utf-8"))
    found = choose_row_settings("shared_sequence", read_ablation_settings(path))
    for section in ("split", "content", "towers", "training"):
        wanted, got = getattr(paper, section), getattr(found, section)
        assert wanted.model_fields_set, f"{path.name} says nothing of {section}"
        assert got.model_dump(include=wanted.model_fields_set) == wanted.model_dump(include=wanted.model_fields_set)


def test_the_laptop_size_is_the_paper_without_what_it_does_not_have() -> None:
    settings = read_ablation_settings()
    towers = settings.towers
    assert not any((towers.positions, towers.recent_items, towers.id_embeddings, towers.whitening))
    assert not any((towers.cooccurrence_rank, towers.text_channel, settings.training.mask_seen))
    assert settings.split.method == "leave_one_out"


def test_settings_that_no_row_can_have_are_refused() -> None:
    settings = read_ablation_settings().override(towers__id_embeddings=True)
    settings = settings.override(towers__read_text=False)
    with pytest.raises(SettingsError, match="read no text"):
        choose_row_settings("frozen", settings)


@pytest.mark.parametrize(
    ("options", "settings", "headline", "what"),
    [
        (("--data", "{place}/nowhere"), "", "The data cannot be read", "nowhere"),
        (("--data", "{place}"), "", "The data cannot be read", "no file for the table `items`"),
        (("--config", "{place}/nowhere.toml"), "", "The settings are wrong", "The settings file cannot be read"),
        (("--config", "{place}"), "", "The settings are wrong", "The settings file cannot be read"),
        ((), "[towers\n", "The settings are wrong", "This file is not valid TOML"),
        ((), "[towers]\nblokcs = 2\n", "The settings are wrong", "blokcs"),
        ((), "[towers]\nread_text = false\nid_embeddings = true\n", "The settings are wrong", "read no text"),
        (("--split", "by_dat"), "", "The settings are wrong", "by_dat"),
        ((), '[content]\nencoder = "nothing"\n', "The encoder cannot be loaded", "nothing"),
        (("--out", "{place}/data/items.csv"), "", "The data cannot be read", "a file, not a folder"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(
    options: tuple[str, ...], settings: str, headline: str, what: str, tmp_path: Path
) -> None:
    shop = write_shop(tmp_path, settings)
    before = sorted(tmp_path.rglob("*"))
    done = shop.ablation(*(each.format(place=tmp_path) for each in options))
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert done.stderr.startswith(headline)
    assert what in done.stderr
    assert "What to do:" in done.stderr
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before
