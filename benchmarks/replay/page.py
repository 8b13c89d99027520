"""The replay's picture and its part of the page."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks.replay.records import Day, Replay
from benchmarks.replay.workplace import SETTINGS
from learn.report import ACCENT, BAD, GOOD, INK, LINE, MUTED, OTHER, WARN, render_svg, set_title, style_panel

PICTURE = "monitoring-replay.svg"
_VERDICTS = {"ok": GOOD, "watch": WARN, "retrain": OTHER, "alarm": BAD}
_MODELS = (ACCENT, "#0891b2", OTHER, GOOD, WARN, MUTED)


def draw(found: Replay) -> str:
    """Draw the days: live hit rate by model, drift, verdicts, trainings and promotions; return an SVG."""
    figure = Figure(figsize=(8.0, 5.6), layout="constrained")
    rates, drift, verdicts = figure.subplots(3, 1, sharex=True, height_ratios=(4, 3, 1))
    _draw_rates(rates, found.days)
    _draw_drift(drift, found)
    for place, day in enumerate(found.days):
        verdicts.barh(0, 0.92, left=place - 0.46, height=0.8, color=_VERDICTS[day.verdict])
        verdicts.text(place, 0, day.verdict, ha="center", va="center", fontsize=7, color="white")
    verdicts.set_yticks([])
    style_panel(verdicts, "Verdict in the evening")
    verdicts.set_xticks(range(len(found.days)), [f"{day.day:%d %b}" for day in found.days])
    verdicts.set_xlim(-0.5, len(found.days) - 0.5)
    for axis in (rates, drift, verdicts):
        axis.grid(visible=False, axis="x")
        for place, day in enumerate(found.days):
            if day.retraining is not None:
                promoted = day.retraining.champion != day.model
                axis.axvline(place + 0.48, color=INK, linewidth=1.2, linestyle="-" if promoted else ":")
    marks = [
        Line2D([], [], color=INK, linewidth=1.2, label="trained and promoted"),
        Line2D([], [], color=INK, linewidth=1.2, linestyle=":", label="trained, refused"),
        Patch(color=LINE, label="new item numbers"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    set_title(figure, "Two weeks of online_retail through service, log, monitor and retraining", narrow=False)
    return render_svg(figure)


def _draw_rates(axis: Axes, days: tuple[Day, ...]) -> None:
    models = list(dict.fromkeys(day.model for day in days))
    for model, colour in zip(models, _MODELS * len(models), strict=False):
        known = [(place, day.hit_rate) for place, day in enumerate(days) if day.model == model and day.hit_rate]
        for place, (value, low, high) in known:
            axis.plot([place, place], [low, high], color=colour, linewidth=2, solid_capstyle="round")
            axis.plot([place], [value], "o", color=colour, markersize=5)
        if known:
            axis.text(known[0][0] + 0.08, known[0][1][2], model[:8], fontsize=7, color=colour, va="bottom")
    axis.set_ylim(0, 1.2 * max([day.hit_rate[2] for day in days if day.hit_rate], default=1.0))
    style_panel(axis, "Live hit rate@10 with 95 % interval, by the model that answered")
    axis.grid(axis="y", color=LINE, linewidth=0.8)


def _draw_drift(axis: Axes, found: Replay) -> None:
    places = range(len(found.days))
    begun = next((place for place, day in enumerate(found.days) if day.day >= found.event), None)
    if begun is not None:
        axis.axvspan(begun - 0.5, len(found.days) - 0.5, color=LINE, alpha=0.6, linewidth=0)
    axis.plot(places, [day.drift for day in found.days], color=WARN, marker="o", markersize=4)
    axis.plot(places, [day.unknown_share for day in found.days], color=BAD, marker="o", markersize=4)
    top = max([1.0 * day.drift for day in found.days] + [day.unknown_share for day in found.days] + [0.1])
    axis.set_ylim(0, 1.25 * top)
    style_panel(axis, "Largest effect of a column (orange), share of unknown items (red)")
    axis.grid(axis="y", color=LINE, linewidth=0.8)


def format_sections(found: Replay) -> list[str]:
    """Return the page's sections."""
    lines = [
        "## Two weeks of a shop, unattended",
        "`online_retail`, first purchases alone (lists leave out what somebody has bought). The flow trains on the 120 "
        "days before the first day; then each day's customers ask the running service once, at a place of their visit "
        "drawn by chance, and what they bought of the list is the feedback. In the evening `monitor_flow.py` reads the "
        "log of three days, `--retrain on-verdict --promote if-better`. From "
        f"{found.event:%-d %B} on a fifth of the items is sold under new numbers. The log's times are the shop's. It "
        "is a small configuration: narrow towers, few epochs, wider margins of the gate than the defaults:",
        f"```toml\n{SETTINGS.strip()}\n```",
    ]
    if found.days:
        lines += [f"![The days of the replay]({PICTURE})", _format_days(found.days)]
    return [*lines, *_format_afterwards(found)]


def _format_days(days: tuple[Day, ...]) -> str:
    lines = [
        "| day | model | lists | hit rate | verdict | first reason | retraining |",
        "|---|---|---:|---:|---|---|---|",
    ]
    for day in days:
        rate = "" if day.hit_rate is None else "{:.3f} ({:.3f} to {:.3f})".format(*day.hit_rate)
        again = "" if day.retraining is None else day.retraining.said
        reason = day.reasons[0] if day.reasons else ""
        cells = (str(day.day), f"`{day.model[:8]}`", str(day.lists), rate, day.verdict, reason, again)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _format_afterwards(found: Replay) -> list[str]:
    lines = []
    trained = [day.retraining for day in found.days if day.retraining is not None]
    models = len({found.first.version, *(each.champion for each in trained)})
    lines.append(f"Retrainings started by a verdict: {len(trained)}; models that were the champion: {models}.")
    if found.refusal is not None:
        said = "was refused" if found.refusal.refused else "was **not** refused"
        lines.append(
            "A challenger trained on shuffled histories (the items dealt out anew among the people, but for each one's "
            "last three) "
            f"{said}: {' '.join(found.refusal.reasons)}"
        )
    if found.way_back is not None:
        back = found.way_back
        lines.append(
            f"`learn models rollback` from `{back.from_version[:8]}` to `{back.to_version[:8]}`: {back.same} of "
            f"{back.users} people got exactly the lists of before; {back.changed} lists had been others in between."
        )
    elif found.refusal is not None:
        lines.append("Rollback: not shown, since no second model became the champion.")
    if found.repeated is not None:
        lines.append(f"`learn models reproduce`: {found.repeated.said}")
    return lines
