"""Writes docs/reference/ out of the code, `make docs`, from texts that stand there: descriptions, docstrings, helps."""
