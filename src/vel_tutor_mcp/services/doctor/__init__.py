"""Is this installation fit to work? `probes` look, `verdicts` judge (pure), `checkup` brings them together in time."""
