"""Alerts: what goes wrong that a person should hear of."""
