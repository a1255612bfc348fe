"""Who is asking and what they may do: passwords, tokens, roles. Pure: nothing here knows where any of it is kept."""
