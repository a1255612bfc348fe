"""How things are kept: SQLAlchemy stays in here."""
