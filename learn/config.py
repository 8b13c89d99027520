"""Every setting of LEARN: typed, checked, one docstring a field with the reason for its default.

A run reads them from one TOML file (``--config settings FILE``); each section below is one table of
that file. What a person changes from run to run (data, split, encoder, seed …) is an option of the
command line instead and wins over the file.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from learn.errors import SettingsError
from learn.section import Section
from learn.setting_faults import settings_error


class DataSettings(Section):
    """How the tables are read."""

    item_columns: dict[str, str] = Field(default_factory=dict)
    """Contract name -> name in your file, e.g. ``{title = "product_name"}``; empty: the names are the contract's."""

    interaction_columns: dict[str, str] = Field(default_factory=dict)
    """The same for the interactions, e.g. ``{user_id = "customer"}``."""

    push: bool = True
    """Push each recorded data version where a DVC remote is set: a version that only one laptop holds cannot be
    repeated."""

    lock_wait_seconds: float = Field(default=60, ge=0)
    """How long a run waits while another process works in the same DVC repository: longer than a usual `dvc add`, short
    enough to notice a stale lock."""


class ValidationSettings(Section):
    """What a row must be to be trained on."""

    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    """Share of a table's rows that may be quarantined before the run stops: above one row in twenty it is the export
    that is broken, not the rows."""

    min_title_characters: int = Field(default=3, ge=1)
    """Shorter titles carry nothing an encoder could read; real product names of three letters exist."""

    max_text_characters: int = Field(default=100_000, ge=100)
    """Longer texts are pages, logs or binary data by mistake; the encoder reads the first few hundred words alone."""

    placeholders: tuple[str, ...] = (
        "?", "??", "???", "-", "--", "n/a", "na", "nan", "none", "null", "nil", "unknown", "undefined", "tbd", "todo",
        "test", "untitled", "no title", "no name", "check", "damaged", "damages", "damage", "missing", "lost", "found",
        "broken", "faulty", "mixed up", "wrong code", "thrown away", "sold as set", "adjustment", "adjust", "error",
        "n.a", "throw away", "destroyed", "unsaleable", "ebay",
    )  # fmt: skip
    """Titles (case-blind, punctuation at the ends ignored) that stand where a title should: null markers of databases,
    and what warehouse staff type into the field."""

    placeholder_starts: tuple[str, ...] = (
        "thrown away", "throw away", "unsaleable", "sold as set on", "adjust bad debt", "wrongly coded",
    )  # fmt: skip
    """First words that make a staff note of whatever follows (``thrown away-rusty``): none of them begins a product's
    name."""

    earliest: str = "1995-01-01"
    """Interactions before this day are clock faults (the epoch's zero, above all): e-commerce is not older."""

    latest: str = ""
    """Interactions after this day are clock faults; empty: tomorrow. The two bounds hold for timestamps that are dates
    (see ``timestamps``)."""

    timestamps: Literal["auto", "unix", "order"] = "auto"
    """What the numbers in ``timestamp`` are: Unix time (seconds, milliseconds, micro- or nanoseconds), or only an
    order. ``auto`` calls them Unix time when their median lies after 1990."""

    max_duplicate_text_share: float = Field(default=0.2, ge=0, le=1)
    """Above this share of items with another item's exact text the report warns: variants of one product are common, a
    fifth of the catalogue is an export fault."""

    max_other_script_share: float = Field(default=0.1, ge=0, le=1)
    """Above this share of titles outside the catalogue's main script the report warns: the default encoder reads
    English best."""


class SplitSettings(Section):
    """What is training, validation and test."""

    method: Literal["auto", "by_date", "leave_one_out"] = "auto"
    """``by_date``: two cut dates for everybody, as in production, nothing after a cut is seen before it.
    ``leave_one_out``: each user's last item is test, the one before validation, as in the published benchmarks.
    ``auto``: by date, and leave one out where the timestamps are only an order and no date exists."""

    validation_from: str = ""
    """First moment of the validation window, a date or a number; empty: by ``validation_share``."""

    test_from: str = ""
    """First moment of the test window; empty: by ``test_share``."""

    validation_share: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of all interactions in the validation window: a tenth gives stable metrics and keeps the training part
    recent."""

    test_share: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of all interactions in the test window, the newest."""


class ContentSettings(Section):
    """CEX: how each item's text becomes a frozen vector."""

    encoder: str = "all-MiniLM-L6-v2"
    """Name of a packaged encoder, or the folder of one. MiniLM comes by the package index alone, fits any laptop, and
    larger encoders bought little (BLaIR's table)."""

    pooling: Literal["mean", "last", "cls"] = "mean"
    """Mean over real tokens, as in the paper's code and MiniLM's own training."""

    max_tokens: int = Field(default=256, ge=8)
    """Tokens read of each text: MiniLM was trained on at most 256."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the encoder: float32 is exact everywhere; bfloat16 is faster where the processor has it."""

    fields: tuple[str, ...] = ("title", "brand", "category", "price", "keywords", "attributes", "description")
    """Columns in the prompt, in this order; the title first, because the end is what truncation cuts. The paper's six
    industrial fields, and the description last."""

    max_field_characters: int = Field(default=1_000, ge=10)
    """Characters kept of each field but the title, so that a long description never pushes another field out."""

    tokens_per_batch: int = Field(default=2_048, ge=64)
    """Padded tokens of one forward pass: small batches of like lengths beat large ones on a processor (measured: 8-32
    texts)."""

    part_items: int = Field(default=4_096, ge=1)
    """Vectors per part of the store: what a kill can lose at most, about half a minute's work on two cores."""

    shards: int = Field(default=0, ge=0)
    """Parallel encoding tasks; 0: one for each 50,000 missing items, 100 at most, since on one machine they share
    the same cores."""

    threads: int = Field(default=0, ge=0)
    """Cores for encoding, one text batch on each; 0: all that the process may use (``OMP_NUM_THREADS`` counts). The
    vectors are the same bytes whatever stands here."""


class TowerSettings(Section):
    """PAL: the shape of the towers."""

    item_tower: Literal["adaptor", "shared", "shared_sequence", "frozen"] = "adaptor"
    """What makes an item's vector: the user tower's own adaptor; ``shared``: the whole user tower, each item alone
    (the paper's b); ``shared_sequence``: the same, the target sequence under causal attention in training (a);
    ``frozen``: the content vector through a linear head alone (c)."""

    dimension: int = Field(default=256, ge=4)
    """Width of the towers and of the vectors served: 256 beat 128 on validation by .003 NDCG@10, above it nothing was
    gained."""

    blocks: int = Field(default=1, ge=1)
    """Transformer blocks: two were no better than one on short histories."""

    heads: int = Field(default=1, ge=1)
    """Attention heads: one is enough for one block (eSASRec, RecSys'25)."""

    max_history: int = Field(default=50, ge=1)
    """Newest interactions the user tower reads."""

    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Inside the blocks: shop data is sparse, .5 beat .2 on validation."""

    input_dropout: float = Field(default=0.3, ge=0, lt=1)
    """On the content vectors before the adaptor: keeps the towers from leaning on single directions of the text."""

    positions: bool = True
    """Learned positions, counted from the oldest item read; the paper's Amazon code has none."""

    recent_items: int = Field(default=10, ge=0)
    """Newest items whose own vectors are mixed into the user vector with learned weights: the largest single gain on
    validation (+.016 Recall@10). 0 switches it off."""

    id_embeddings: bool = True
    """A regularised table beside the frozen text, so that behaviour can correct what the text says; an item without
    training interactions is read by its text alone."""

    id_dropout: float = Field(default=0.1, ge=0, lt=1)
    """On the table's rows, so that the text is not forgotten."""

    whitening: bool = True
    """Centre and whiten the content vectors on training items: frozen LLM vectors are anisotropic (WhitenRec,
    ICDE'24)."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> TowerSettings:
        if self.dimension % self.heads:
            raise ValueError(f"dimension {self.dimension} cannot be divided by {self.heads} heads")
        return self


class TrainingSettings(Section):
    """PAL: how the towers are trained."""

    loss: Literal["full_softmax", "dense_all_action"] = "full_softmax"
    """Full softmax over the catalogue at every position, or the paper's dense all-action loss with negatives from the
    batch."""

    mask_seen: bool = True
    """Take items already in the history out of the softmax: the service does not recommend them either."""

    epochs: int = Field(default=30, ge=1)
    """At most; early stopping ends it sooner."""

    patience: int = Field(default=3, ge=1)
    """Epochs without a better validation NDCG@10 before training stops."""

    batch_positions: int = Field(default=512, ge=1)
    """Positions per step, padding counted: short histories come many to a batch, long ones few, and a step takes the
    same time and memory. 512 reached what 1,024 reached in half the epochs; a large catalogue wants more, since each
    step also encodes every candidate."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """AdamW's usual rate for small transformers from scratch."""

    weight_decay: float = Field(default=0.01, ge=0)
    """Also what holds the ID table near zero where data is thin."""

    temperature: float = Field(default=0.07, gt=0)
    """Start of the softmax temperature, learned from there under ``full_softmax``; fixed under ``dense_all_action``
    (.05 in the paper's code)."""

    clip_norm: float = Field(default=5.0, gt=0)
    """Gradient norm at which steps are clipped."""

    history_positions: int = Field(default=10, ge=1)
    """Dense all-action: history positions sampled per user (the paper's code: 10)."""

    target_positions: int = Field(default=10, ge=1)
    """Dense all-action: target positions sampled per user (the paper's code: 10)."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the towers train; ``auto`` takes a CUDA device where there is one."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the matrix products; ``auto`` takes bfloat16 where the processor computes in it, since a processor
    without it is four times slower in bfloat16 than in float32."""

    reuse: bool = True
    """Take the finished towers of an earlier run over the same histories, vectors, settings and seed."""


class EvaluationSettings(Section):
    """How models are compared."""

    cutoffs: tuple[int, ...] = (10, 50)
    """The k of Recall@k and NDCG@k; 10 is always among them, since epochs are chosen and models judged by it."""

    bootstrap_samples: int = Field(default=1_000, ge=100)
    """Resamples of the users behind each 95 % interval; more change its third digit."""

    block_users: int = Field(default=512, ge=1)
    """Users scored at a time: 512 x 100,000 items x 4 bytes are 200 MB."""

    short_history: int = Field(default=5, ge=1)
    """Users with at most this many items make the slice of short histories."""

    tail_share: float = Field(default=0.2, gt=0, lt=1)
    """Items that together hold this last share of training interactions make the tail slice."""

    baselines: tuple[
        Literal["popularity", "content_neighbours", "transitions", "tfidf_neighbours", "ease", "blend"], ...
    ] = ("popularity", "content_neighbours", "transitions", "tfidf_neighbours", "ease", "blend")
    """What the towers are compared with; the blend mixes ``transitions``, ``tfidf_neighbours`` and ``ease``."""

    ease_regularisation: float = Field(default=100.0, gt=0)
    """EASE's only parameter: best of 5 to 200 on validation, and flat around it."""

    ease_max_items: int = Field(default=20_000, ge=1)
    """Trained items above which EASE (and its part in the blend) is left out: 20,000 take 5 GB and minutes."""

    tuning_users: int = Field(default=4_000, ge=1)
    """Validation users on whom the blend's weights are chosen: three shares need no more."""

    list_users: int = Field(default=2_000, ge=1)
    """Users whose lists are looked at for coverage, popularity bias and diversity: lists need sorting, ranks do not."""

    @field_validator("cutoffs")
    @classmethod
    def _ten_is_among_them(cls, cutoffs: tuple[int, ...]) -> tuple[int, ...]:
        if 10 not in cutoffs or min(cutoffs) < 1:
            raise ValueError("cutoffs are positive and hold 10, by which epochs are chosen and models judged")
        return cutoffs


class DriftSettings(Section):
    """When the newest window counts as different from the training window."""

    sample_rows: int = Field(default=5_000, ge=100)
    """Rows drawn (seeded) from each window for the column tests: more make every difference significant."""

    sample_vectors: int = Field(default=1_000, ge=50)
    """Vectors drawn from each side for the embedding test: its kernel grows with the square."""

    on_drift: Literal["warn", "fail"] = "warn"
    """What a drift does to the run; ``--on-drift`` wins over it. A warning, because a new season is drift as well."""

    significance: float = Field(default=0.01, gt=0, lt=1)
    """Family-wise false-alarm rate over all tests of one report, after correction."""

    min_effect: float = Field(default=0.1, ge=0)
    """Smallest effect (a distance from 0 to 1) that counts: with enough rows anything is significant."""

    permutations: int = Field(default=10_000, ge=100)
    """Permutations behind each p-value: they cost milliseconds, since only bin counts are drawn. Fewer than the
    correction over the report's columns needs are raised to what it needs."""


class ServingSettings(Section):
    """What is packed, and how it is checked before it counts."""

    model_name: str = "learn_user_tower"
    """Name in BentoML's model store and of the bento."""

    parity_users: int = Field(default=100, ge=1)
    """Users whose served top-10 is compared with the offline ranking before the run succeeds."""

    max_history: int = Field(default=10_000, ge=1)
    """Longest history a request may carry; longer ones get a 4xx."""

    max_k: int = Field(default=1_000, ge=1)
    """Largest k a request may ask for."""


class Settings(Section):
    """The whole settings file."""

    workspace: Path = Path(".learn")
    """Folder for everything a run keeps beside its reports: tables, content store, checkpoints, bundles."""

    reports: Path = Path("reports")
    """Folder of the reports, one sub-folder a run."""

    seed: int = 0
    """Seed of every random draw; ``--seed`` wins over it."""

    data: DataSettings = DataSettings()
    validation: ValidationSettings = ValidationSettings()
    split: SplitSettings = SplitSettings()
    content: ContentSettings = ContentSettings()
    towers: TowerSettings = TowerSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    drift: DriftSettings = DriftSettings()
    serving: ServingSettings = ServingSettings()

    def overridden(self, **options: object) -> Settings:
        """Return these settings with options of the command line put in, those not given (None, empty) left out.

        Args:
            options: Dotted names with ``__`` for the dot, e.g. ``split__method="by_date"``.

        Raises:
            SettingsError: A value is out of range.
        """
        values = self.model_dump(mode="python")
        for name, value in options.items():
            if value in (None, ""):
                continue
            *sections, field = name.split("__")
            place = values
            for section in sections:
                place = place[section]
            place[field] = value
        return self.from_mapping(values, where="command line")

    @classmethod
    def from_toml(cls, text: str, *, where: str = "settings file") -> Settings:
        """Read settings from the text of a TOML file.

        Raises:
            SettingsError: The text is not TOML, a name is unknown, or a value is out of range.
        """
        try:
            return cls.from_mapping(tomllib.loads(text), where=where)
        except tomllib.TOMLDecodeError as fault:
            raise SettingsError(f"This is not TOML: {fault}.", where=where, fix="mend the line it names") from fault

    @classmethod
    def from_mapping(cls, values: dict[str, Any], *, where: str = "settings") -> Settings:
        """Check a nested mapping of settings.

        Raises:
            SettingsError: A name is unknown or a value is out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as fault:
            raise settings_error(fault, cls, where=where) from fault
