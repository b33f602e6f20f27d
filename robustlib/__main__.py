"""``python -m robustlib``."""

import sys

from .cli import main

sys.exit(main())
