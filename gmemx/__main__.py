"""``python -m gmemx`` is the ``gmemx`` command."""

import sys

from gmemx.cli import main

if __name__ == "__main__":
    sys.exit(main())
