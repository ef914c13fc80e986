"""python -m vitime_cache."""

import sys

from vitime_cache.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
