"""``make faults``."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import tests  # noqa: E402

# Some distributions install a package of that name, too.
tests.__path__ = [str(ROOT / "tests"), *tests.__path__]

from tests.faults.trials import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
