"""Is today's data still what the towers were trained on?

Windows are cheap and stand here; the report itself loads Evidently and is asked for by its module:
``from learn.monitoring.drift import measure_drift``.
"""

from learn.monitoring.windows import Window, history_window, positions_from, table_window

__all__ = ["Window", "history_window", "positions_from", "table_window"]
