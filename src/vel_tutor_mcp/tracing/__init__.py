"""Traces: what is told of the way of a request, task, run and attempt, and where it is sent."""
