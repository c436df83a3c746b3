"""The command line of Matou.

Only what a command needs is imported when it runs: ``matou registry serve`` never sees Django.
"""

from __future__ import annotations

from matou.cli.application import main

__all__ = ["main"]
