"""Starts the server for a host of bundles. Its head, with what it needs, is put before it when it is packed."""

import os

from vel_tutor_mcp.__main__ import main

for name in list(os.environ):
    if os.environ[name] == f"${{user_config.{name.lower()}}}":  # a host's own words, for what its user left empty
        del os.environ[name]
main()
