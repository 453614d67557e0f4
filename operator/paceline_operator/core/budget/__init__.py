"""Dividing the connections of one server among the pools of many workloads, and never counting one too few."""
