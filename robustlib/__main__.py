"""The process of ``robustlib`` and ``python -m robustlib``, which handles Ctrl-C before it imports anything else."""

import sys

from . import interrupt


def main() -> int:
    """Run the command line; returns the exit code."""
    interrupt.starting()
    from .cli import main as command_line

    code = command_line()
    interrupt.ended()
    return code


if __name__ == "__main__":
    sys.exit(main())
