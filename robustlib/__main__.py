"""The process of ``robustlib`` and ``python -m robustlib``. It imports next to nothing before it hears Ctrl-C."""

import os
import signal
import sys


def _leave(signum: int, frame: object) -> None:
    """End the process: an import that Ctrl-C tears apart ends as any exception, or passes for a missing module."""
    os.write(2, b"robustlib: interrupted\n")
    os._exit(130)


def main() -> int:
    """Run the command line; until its work begins, and after it has ended, Ctrl-C is one line and exit code 130."""
    # A shell that starts a job in the background has it ignore Ctrl-C; so it stays.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from .cli import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
