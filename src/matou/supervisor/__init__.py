"""``matou serve``: portal and registry of one machine, kept running by one small parent process."""

from __future__ import annotations

from matou.supervisor.home import SupervisorError
from matou.supervisor.supervision import run

__all__ = ["SupervisorError", "run"]
