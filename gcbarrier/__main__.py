"""The ``gcbarrier`` command, and ``python -m gcbarrier``, which is the same."""

import sys


def main() -> int:
    """Run it and return its exit status."""
    try:
        # Not above: Ctrl-C may come as early as this.
        from gcbarrier.commands import main as run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
