"""How to talk to a vendor of models."""
