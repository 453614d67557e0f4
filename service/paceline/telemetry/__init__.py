"""Measures: histograms, request statistics, loop lag, cgroups, tracing, logs."""

from typing import Final

OTHER: Final = "other"
"""The request group of what no route took, or more routes than have names; here so that the agent need not load how
workers count."""
OTHER_METHOD: Final = "_OTHER"
"""As OpenTelemetry names methods that a client made up; likewise for the agent."""
