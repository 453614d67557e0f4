"""Paceline's operator: reads a TuningPolicy, measures, decides, and writes the tuning document."""

__version__ = "0.1.0"
