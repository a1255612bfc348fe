"""Real clients, which `make test-clients` installs and tries; `make test` does not."""

import os

collect_ignore_glob = [] if "VEL_TEST_CLIENTS" in os.environ else ["test_*.py"]
