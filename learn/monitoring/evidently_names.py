"""What LEARN uses of Evidently, loaded in one place: its import warns of things that nothing here can mend."""

from __future__ import annotations

import warnings

import pandas as pd

with warnings.catch_warnings():
    # Evidently reaches into `numpy.core` while it defines its types; nothing that runs later does.
    warnings.filterwarnings("ignore", message=r"numpy\.core is deprecated", category=DeprecationWarning)
    # A regular expression of its text descriptors is not a raw string; the pattern is the one meant.
    warnings.filterwarnings("ignore", message=r"invalid escape sequence", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message=r".*invalid escape sequence", category=SyntaxWarning)
    # Its web server's dependency injection, loaded along and never started here. Litestar's own warning class
    # cannot be named before the import that raises it.
    warnings.filterwarnings("ignore", message=r"(Call to deprecated function 'Dependency'|Use of deprecated class)")
    # Pandas names its own plans for version 4 to whoever reads the options Evidently reads.
    warnings.filterwarnings("ignore", category=pd.errors.Pandas4Warning)
    from evidently import DataDefinition, Dataset, Report
    from evidently.core.metric_types import DataframeCalculation, DataframeMetric, MetricTestResult
    from evidently.legacy.model.widget import BaseWidgetInfo
    from evidently.legacy.renderers.html_widgets import (
        CounterData,
        WidgetSize,
        counter,
        plotly_data,
        table_data,
        text_widget,
    )
    from evidently.legacy.tests.base_test import TestStatus

__all__ = [
    "BaseWidgetInfo",
    "CounterData",
    "DataDefinition",
    "DataframeCalculation",
    "DataframeMetric",
    "Dataset",
    "MetricTestResult",
    "Report",
    "TestStatus",
    "WidgetSize",
    "counter",
    "plotly_data",
    "table_data",
    "text_widget",
]
