"""The reference API: every pattern of a good async API, written with Paceline's public API only."""
