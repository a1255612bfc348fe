"""Workflows as values: what a definition says, and what a run does next. Pure: nothing here waits, stores or calls."""
