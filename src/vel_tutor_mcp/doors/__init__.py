"""How requests come in: each door translates, none decides."""
