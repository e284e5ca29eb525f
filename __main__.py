"""The command `ordersmith`, also as `python -m ordersmith`."""

from __future__ import annotations

import sys

from . import __version__
from .simulation import command
from .supervisor import cli
from .supervisor.process_end import at_its_end


def main() -> int:
    """Run the command line of this process and return the exit status; nothing that is abandoned holds up the end."""
    return at_its_end(cli.main(sys.argv[1:], __version__, [command.add_parser]))


if __name__ == "__main__":
    sys.exit(main())
