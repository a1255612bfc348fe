"""How work survives a crash."""
