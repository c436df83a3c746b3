"""Child process that prepares the portal: keys, database, administrator. The parent never loads Django."""

from __future__ import annotations

import sys

from matou.supervisor.birth import begin


def main() -> int:
    """Prepare the installation that the environment describes; return the exit status."""
    begin()
    from matou.config.installation import Installation  # noqa: PLC0415 -- after the tie to the parent
    from matou.portal.setup import prepare  # noqa: PLC0415 -- as above

    prepare(Installation.from_environ())
    return 0


if __name__ == "__main__":
    sys.exit(main())
