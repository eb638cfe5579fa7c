"""``python -m gcbarrier``: the same as the ``gcbarrier`` command."""

import sys

from gcbarrier.commands import main

if __name__ == "__main__":
    sys.exit(main())
