"""How often a random test tries: a few times in `make test`, ten times as often in `make soak`."""

import os

_TIMES = int(os.environ.get("VEL_TEST_TIMES", "1"))


def examples(few: int) -> int:
    return few * _TIMES
