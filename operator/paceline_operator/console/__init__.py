"""The console, read-only pages of what the operator does: `listener → history → view → page`, a thin server on top."""
