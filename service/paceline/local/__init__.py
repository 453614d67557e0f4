"""The whole platform on one machine: PostgreSQL, Valkey, the API, the operator."""
