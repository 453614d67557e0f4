"""Pools with a limit in front that moves while they run: one module a driver."""
