"""From a folder of items and interactions to a service: ``python flows/train_flow.py run``.

Each step calls one room of ``learn``. Between steps travel paths, versions and small summaries, never tables
or vectors.
"""

# ruff: noqa: E402  # the environment must be settled before the libraries that read it are imported
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from learn.environment import configure_process

configure_process()

from metaflow import Config, FlowSpec, Parameter, card, current, package_sources, parallel, project, schedule, step

from flows.cluster import PACKAGED, SUFFIXES, Sized, StartedByEvent
from flows.decorators import parse_machines, parse_settings, show_errors_plainly, transfers_files
from learn.config import Settings

if TYPE_CHECKING:  # torch must not be imported where no tower is
    from learn.model import TrainingSummary


@project(name="learn")
@schedule(weekly=True)
@StartedByEvent("data", "promote")
@package_sources(PACKAGED, suffixes=SUFFIXES)
@Sized(
    validate="tables",
    histories="tables",
    encode="encode",
    gather="tables",
    towers="towers",
    train_together="towers",
    evaluate="tables",
    compare_windows="tables",
    package="tables",
)
class TrainFlow(FlowSpec):
    """Train, evaluate and package a text recommender from a folder of items and interactions."""

    settings_file = Config("settings", default_value="", parser=parse_settings, help="TOML file of settings")
    machines = Config(
        "machines", default_value="", parser=parse_machines, help="TOML file: what steps ask of a cluster"
    )
    data = Parameter(
        "data", default="data", help="folder of `items` and `interactions`; the bundled sample if not given"
    )
    wanted_version = Parameter("data-version", default="", help="git revision or hash: run on that version of the data")
    split = Parameter("split", default="", help="by_date | leave_one_out; by date where there are dates, if not given")
    encoder = Parameter("encoder", default="", help="name or folder of the frozen encoder")
    current_data = Parameter("current", default="", help="folder whose traffic is held against the training window")
    on_drift = Parameter("on-drift", default="", help="warn | fail: what a drift does to the run; warn if not given")
    init_from = Parameter(
        "init-from",
        default="",
        help="earlier bundle whose weights the towers start from: a run's id, a folder or a tag",
    )
    production = Parameter(
        "production",
        default="",
        help="bundle to evaluate beside the new towers: a train run's id, a folder, a model tag, `latest` for the "
        "newest stored model, or `none`; the champion if not given",
    )
    promote = Parameter(
        "promote",
        default="never",
        help="never | if-better | always: whether the new model becomes the champion, which running services take",
    )
    seed = Parameter("seed", type=int, default=None, help="seed of every random draw; the settings' own if not given")

    @step
    @show_errors_plainly
    @transfers_files()
    def start(self) -> None:
        """Version: snapshot the data folder, or fetch the version requested."""
        from flows.models import find_opponents, read_promote_rule, resolve_start
        from learn.content import resolve_settings_encoder
        from learn.data import obtain_version, require_tables

        self.settings = Settings.from_mapping(self.settings_file.to_dict()).override(
            split__method=self.split, content__encoder=self.encoder, seed=self.seed, drift__on_drift=self.on_drift
        )
        self.promote_rule = read_promote_rule(self.promote)
        resolve_settings_encoder(self.settings.content)
        if self.current_data:
            require_tables(Path(self.current_data), settings=self.settings.data)
        # A folder that is missing is pulled by its pointer, and what it holds is seen then.
        if not self.wanted_version and Path(self.data).exists():
            require_tables(Path(self.data), settings=self.settings.data)
        self.start_bundle = resolve_start(self.init_from, settings=self.settings)
        self.champion, self.production_bundle = find_opponents(
            self.production, promote=self.promote_rule, settings=self.settings
        )
        self.version = obtain_version(
            Path(self.data),
            version=self.wanted_version,
            root=Path.cwd(),
            settings=self.settings.data,
            remote=self.settings.places.data_remote,
        )
        self.reports = self.settings.reports.absolute() / current.run_id
        self.scratch = self.settings.workspace.absolute() / "runs" / current.run_id
        print(f"Data version {self.version.version} ({self.version.files} files, {self.version.size_bytes:,} bytes).")
        self.next(self.validate)

    @card(type="blank")
    @step
    @show_errors_plainly
    @transfers_files()
    def validate(self) -> None:
        """Validate: every row goes on, or to quarantine with its reasons."""
        from learn.data import prepare_tables
        from learn.report import show_validation

        self.validation_summary = prepare_tables(
            self.version,
            workspace=self.settings.workspace.absolute(),
            report=self.reports / "validation.html",
            settings=self.settings,
        )
        show_validation(current.card, self.validation_summary)
        self.next(self.histories)

    @step
    @show_errors_plainly
    @transfers_files()
    def histories(self) -> None:
        """Split, and turn interactions into flat integer histories."""
        from flows.models import refuse_seen_windows
        from learn.data import build_histories

        tables = self.validation_summary.folder
        self.split_summary = build_histories(tables, self.scratch / "histories", settings=self.settings.split)
        print(f"Split: {self.split_summary.described}.")
        refuse_seen_windows(self.start_bundle, self.split_summary.folder, tables=tables)
        self.next(self.plan)

    @step
    @show_errors_plainly
    @transfers_files()
    def plan(self) -> None:
        """Find the items whose text no vector exists for, and share them out by work."""
        from learn.content import plan_extraction

        self.extraction = plan_extraction(
            self.validation_summary.folder / "items.parquet",
            store=self.settings.content_store,
            settings=self.settings.content,
            folder=self.scratch / "content_plan",
        )
        self.shards = list(self.extraction.shards)
        print(f"Content: {self.extraction.missing} texts to encode, {self.extraction.reused} items known.")
        self.next(self.encode, foreach="shards")

    @step
    @show_errors_plainly
    @transfers_files()
    def encode(self) -> None:
        """Encode one shard with the frozen encoder, into the content store."""
        from flows.cluster import count_parallel_tasks
        from learn.content import encode_shard

        self.encoded = encode_shard(self.extraction, self.input, parallel=count_parallel_tasks(len(self.shards)))
        self.next(self.gather)

    @step
    @show_errors_plainly
    @transfers_files()
    def gather(self, inputs: list[TrainFlow]) -> None:
        """Gather the content vectors of all items, in item order."""
        from learn.content import collect_vectors
        from learn.model import RunInputs

        self.merge_artifacts(inputs, exclude=["encoded"])
        results = [shard.encoded for shard in inputs]
        self.content_summary = collect_vectors(self.extraction, results, destination=self.scratch / "content")
        self.inputs = RunInputs(
            self.settings,
            self.validation_summary.folder,
            self.split_summary.folder,
            self.content_summary.path,
            encoder_fingerprint=self.content_summary.fingerprint.digest,
        )
        self.next(self.share_training)

    @step
    @show_errors_plainly
    @transfers_files()
    def share_training(self) -> None:
        """See how many processes train the towers; more than one need a step that Metaflow starts as a gang."""
        self.trained_together: TrainingSummary | None = None
        self.trainers = "many" if self.settings.processes.training > 1 else "one"
        self.next({"one": self.towers, "many": self.gather_trainers}, condition="trainers")

    @step
    @show_errors_plainly
    @transfers_files()
    def gather_trainers(self) -> None:
        """Request the processes."""
        self.next(self.train_together, num_parallel=self.settings.processes.training)

    @parallel
    @step
    @show_errors_plainly
    @transfers_files()
    def train_together(self) -> None:
        """Align, as one of several processes: each takes its share of every batch."""
        from flows.cluster import join_training_group
        from flows.models import read_start_weights
        from learn.evaluation import train_selected

        with join_training_group(settings=self.settings.processes) as group:
            self.trained_together = train_selected(
                self.inputs,
                start=read_start_weights(self.start_bundle, tables=self.validation_summary.folder),
                group=group,
            )
        self.next(self.dismiss_trainers)

    @step
    @show_errors_plainly
    @transfers_files()
    def dismiss_trainers(self, inputs: list[TrainFlow]) -> None:
        """Continue as one process; all hold the same result."""
        self.trained_together = inputs[0].trained_together
        self.merge_artifacts(inputs)
        self.next(self.towers)

    @card(type="blank")
    @step
    @show_errors_plainly
    @transfers_files()
    def towers(self) -> None:
        """Align: train both towers, unless several processes have; keep the epoch that is best on validation."""
        from flows.models import read_start_weights
        from learn.evaluation import train_selected
        from learn.model import encode_catalogue
        from learn.report import show_training

        self.training = self.trained_together or train_selected(
            self.inputs, start=read_start_weights(self.start_bundle, tables=self.inputs.tables)
        )
        self.inputs = encode_catalogue(
            replace(self.inputs, training=self.training), destination=self.scratch / "catalogue"
        )
        show_training(current.card, self.training)
        self.next(self.evaluate, self.compare_windows)

    @card(type="blank")
    @step
    @show_errors_plainly
    @transfers_files()
    def evaluate(self) -> None:
        """Evaluate: full ranking of the towers next to the baselines, with intervals and slices."""
        from flows.models import read_production_model
        from learn.evaluation import evaluate_run
        from learn.report import show_evaluation, write_evaluation_page

        self.metrics, self.quality_rules = evaluate_run(
            self.inputs,
            report=self.reports / "metrics.json",
            production=read_production_model(self.production_bundle, self.inputs.histories, tables=self.inputs.tables),
            champion=self.champion.opponent,
        )
        page = self.reports / "evaluation.html"
        write_evaluation_page(self.metrics, page, run_id=current.run_id, split=self.split_summary)
        show_evaluation(current.card, self.metrics)
        self.next(self.package)

    @card(type="blank")
    @step
    @show_errors_plainly
    @transfers_files()
    def compare_windows(self) -> None:
        """Drift: the newest window, or a second folder, against training; and the profile for what comes later."""
        from flows.runs import read_training_trend
        from learn.monitoring import map_embeddings, read_profile, run_drift, write_run_profile
        from learn.report import show_drift

        self.profile = write_run_profile(self.inputs, destination=self.scratch / "profile")
        self.drift_summary = run_drift(
            self.inputs,
            current=Path(self.current_data) if self.current_data else None,
            scratch=self.scratch,
            report=self.reports / "drift.html",
        )
        profile = read_profile(self.profile, weights_sha256=self.training.weights_sha256)
        show_drift(
            current.card,
            self.drift_summary,
            settings=self.settings,
            trend=read_training_trend(self.drift_summary, current=current, last=self.settings.monitoring.trend_runs),
            places=map_embeddings(profile, seed=self.settings.seed),
        )
        self.next(self.package)

    @step
    @show_errors_plainly
    @transfers_files()
    def package(self, inputs: list[TrainFlow]) -> None:
        """Package: bundle, model store, bento; the built service must answer as the offline ranking."""
        from flows.models import require_opponent
        from learn.evaluation import judge_validation
        from learn.monitoring import judge_drift
        from learn.serving import release_run

        self.merge_artifacts(inputs)
        rules = [
            *self.quality_rules,
            require_opponent(self.champion),
            judge_validation(self.validation_summary, settings=self.settings.gate),
            judge_drift(self.drift_summary, settings=self.settings.gate),
        ]
        self.release, self.gate = release_run(
            self.inputs,
            version=self.version,
            metrics=self.metrics,
            run_id=current.run_id,
            destination=self.scratch / "bundle",
            rules=[rule for rule in rules if rule is not None],
            champion=self.champion.opponent,
            profile=self.profile,
        )
        self.next(self.decide)

    @step
    @show_errors_plainly
    @transfers_files()
    def decide(self) -> None:
        """Promote: where it was requested and the gate allows it, the new model becomes the champion."""
        from learn.registry import promote_run

        self.promotion = promote_run(
            self.release.model_tag,
            self.gate,
            rule=self.promote_rule,
            champion=self.champion,
            by=f"{current.flow_name}/{current.run_id}",
        )
        self.next(self.end)

    @step
    @show_errors_plainly
    @transfers_files("reports")
    def end(self) -> None:
        """Give the results their stable names and tie the reports together."""
        from learn.report import RunResult, write_index

        result = RunResult(
            run_id=current.run_id,
            version=self.version,
            validation=self.validation_summary,
            split=self.split_summary,
            content=self.content_summary,
            training=self.training,
            metrics=self.metrics,
            drift=self.drift_summary,
            decision=self.gate,
            release=self.release,
            promotion=self.promotion,
        )
        for name, value in result.to_artifacts().items():
            setattr(self, name, value)
        result.write_decision(self.reports / "decision.json")
        page = write_index(result, self.reports / "index.html", settings=self.settings)
        print(result.format_closing_lines(page))


if __name__ == "__main__":
    TrainFlow()
