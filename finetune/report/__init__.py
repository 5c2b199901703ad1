"""The report of a trained person: what the engine would send, measured against the real frames."""
