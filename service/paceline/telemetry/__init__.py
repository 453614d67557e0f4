"""Measures: histograms, request statistics, loop lag, cgroups, tracing, logs."""
