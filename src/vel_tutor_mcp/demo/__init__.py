"""The main job from end to end: `vel-tutor-mcp demo`. `story` holds what is shown and checked without any key, `live`
the same on real providers.
"""

import sys

INTERRUPTED = 130


def run(*, live: bool = False) -> None:
    """Show the demo; exit 1 with a sentence where it does not go as it tells, 130 on Ctrl-C.

    Raises:
        ConfigurationError: it is to be `live`, and no provider has a key.
    """
    try:
        # Loading takes a second, in which Ctrl-C must be as quiet as later.
        if live:
            from vel_tutor_mcp.demo.live import play
        else:
            from vel_tutor_mcp.demo.story import play

        problem = play()
    except KeyboardInterrupt:
        sys.stderr.write("\nvel-tutor-mcp: the demo was stopped; nothing of it is left.\n")
        sys.exit(INTERRUPTED)
    if problem:
        sys.stderr.write(f"\nvel-tutor-mcp: {problem}\n")
        sys.exit(1)
