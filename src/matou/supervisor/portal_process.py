"""Child process that runs the portal."""

from __future__ import annotations

import sys

from matou.supervisor.birth import begin


def main() -> int:
    """Serve the portal that the environment describes; return the exit status."""
    begin()
    from matou.config.installation import Installation  # noqa: PLC0415 -- after the tie to the parent
    from matou.portal.server import serve  # noqa: PLC0415 -- as above

    return serve(Installation.from_environ())


if __name__ == "__main__":
    sys.exit(main())
