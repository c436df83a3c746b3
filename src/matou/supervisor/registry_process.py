"""Child process that runs the registry, as ``matou registry serve`` does."""

from __future__ import annotations

import sys

from matou.supervisor.birth import begin


def main() -> int:
    """Serve the registry whose configuration is the argument; return the exit status."""
    arguments = begin()
    from matou.cli.application import run  # noqa: PLC0415 -- after the tie to the parent

    return run(["registry", "serve", *arguments])


if __name__ == "__main__":
    sys.exit(main())
