"""What the product does: the only callers of router, engine and store."""
