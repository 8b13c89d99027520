"""Compare live traffic with what the model was trained on: ``python flows/monitor_flow.py run --traffic FOLDER``.

The exit status is 0 for the verdicts ok and watch, 3 if the model should be trained again, 4 if a person must look, and
1 if the monitor itself failed.
"""

# ruff: noqa: E402  # the environment must be settled before the libraries that read it are imported
from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from learn.environment import configure_process

configure_process()

from metaflow import Config, FlowSpec, Parameter, card, current, package_sources, project, schedule, step

from flows.cluster import PACKAGED, SUFFIXES, Sized
from flows.decorators import parse_machines, parse_settings, run_with_exit_code, show_errors_plainly
from learn.config import MachineSettings, Settings


@project(name="learn")
@schedule(daily=True)
@package_sources(PACKAGED, suffixes=SUFFIXES)
@Sized(read="tables", compare="tables", train="towers")
class MonitorFlow(FlowSpec):
    """Compare live traffic with a model's reference profile, judge it, and tell."""

    settings_file = Config("settings", default_value="", parser=parse_settings, help="TOML file of settings")
    machines = Config(
        "machines", default_value="", parser=parse_machines, help="TOML file: what steps ask of a cluster"
    )
    traffic = Parameter("traffic", default="", help="folder of a service's traffic log")
    current_data = Parameter("current", default="", help="instead of a log: folder with a table of interactions")
    bundle_name = Parameter(
        "bundle",
        default="",
        help="model that is watched: folder of a bundle, id of a train run, or model tag; the champion if not given",
    )
    profile_name = Parameter("profile", default="", help="folder of the reference profile; that of the bundle if empty")
    since = Parameter("since", default="", help="begin of the window, e.g. 2026-01-31; all of it if not given")
    until = Parameter("until", default="", help="end of the window; none if not given")
    days = Parameter("days", type=int, default=0, help="instead of --since: the newest days up to now")
    retrain = Parameter(
        "retrain",
        default="never",
        help="never | on-verdict: whether the verdict `retrain` starts train_flow.py on the folder of --data",
    )
    data = Parameter("data", default="data", help="folder of the newest data, which a retraining is given")
    promote = Parameter(
        "promote", default="never", help="never | if-better | always: what a retraining does with its model"
    )
    seed = Parameter("seed", type=int, default=None, help="seed of every random draw; the settings' own if not given")

    @step
    @show_errors_plainly
    def start(self) -> None:
        """Find the model and its profile, before anything is read."""
        from flows.models import find_monitored_folder, find_profile_folder, read_promote_rule
        from flows.retraining import read_retrain_rule
        from learn.monitoring import choose_source, find_webhook_address, parse_window_begin

        self.settings = Settings.from_mapping(self.settings_file.to_dict()).override(seed=self.seed)
        find_webhook_address(self.settings.monitoring)
        self.retrain_rule = read_retrain_rule(self.retrain, data=Path(self.data))
        self.promote_rule = read_promote_rule(self.promote)
        self.source = choose_source(self.traffic, self.current_data)
        self.begin = parse_window_begin(self.since, days=self.days)
        self.bundle = find_monitored_folder(self.bundle_name, settings=self.settings).absolute()
        self.profile = find_profile_folder(self.bundle, named=self.profile_name).absolute()
        self.reports = self.settings.reports.absolute() / current.run_id
        self.scratch = self.settings.workspace.absolute() / "monitor" / current.run_id
        self.next(self.read)

    @step
    @show_errors_plainly
    def read(self) -> None:
        """Read the traffic into tables."""
        from learn.monitoring import read_source

        self.read_traffic = read_source(
            self.source, self.scratch, settings=self.settings, since=self.begin, until=self.until
        )
        print(self.read_traffic.sentence)
        self.next(self.compare)

    @card(type="blank")
    @step
    @show_errors_plainly
    def compare(self) -> None:
        """Compare, judge, and write the report and the verdict."""
        from flows.models import read_monitored_model
        from flows.runs import read_monitor_trend
        from learn.monitoring import monitor, read_profile
        from learn.report import show_monitor

        model = read_monitored_model(self.bundle)
        self.watched = monitor(
            self.read_traffic,
            read_profile(self.profile, weights_sha256=model.weights_sha256),
            model,
            run_id=current.run_id,
            reports=self.reports,
            settings=self.settings,
        )
        trend = read_monitor_trend(self.watched, current=current, last=self.settings.monitoring.trend_runs)
        show_monitor(current.card, self.watched, settings=self.settings, trend=trend)
        self.next(self.tell)

    @step
    @show_errors_plainly
    def tell(self) -> None:
        """Tell the webhook, if there is one; what cannot be delivered waits for the next run."""
        from learn.monitoring import notify

        self.delivery = notify(self.watched, run_id=current.run_id, settings=self.settings)
        print(self.delivery.sentence)
        self.next(self.train)

    @step
    @show_errors_plainly
    def train(self) -> None:
        """Train: where the verdict calls for it, it was requested, and nothing speaks against it."""
        from flows.retraining import retrain_on_verdict

        self.retraining = retrain_on_verdict(
            self.watched.verdict.level,
            rule=self.retrain_rule,
            data=Path(self.data),
            promote=self.promote_rule,
            values=self.settings_file.to_dict(),
            scratch=self.scratch / "retraining",
            event=MachineSettings.from_mapping(self.machines.to_dict()).retrain_event,
        )
        print(f"Retraining: {self.retraining.said}")
        self.next(self.end)

    @step
    @show_errors_plainly
    def end(self) -> None:
        """Give the results their stable names, and say the verdict."""
        self.verdict = self.watched.verdict.level
        self.reasons = [reason.said for reason in self.watched.verdict.reasons]
        self.exit_code = self.watched.verdict.exit_code
        self.report = str(self.watched.report)
        self.verdict_file = str(self.watched.verdict_file)
        print(f"{self.watched.verdict.sentence}\nReport: {self.report}")


if __name__ == "__main__":
    run_with_exit_code(MonitorFlow)
