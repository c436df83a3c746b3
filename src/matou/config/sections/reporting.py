"""``reporting`` and ``profiling``: services that errors and profiles are sent to."""

from __future__ import annotations

from dataclasses import dataclass

from matou.config.kinds import Boolean, Text
from matou.config.schema import Checked, Refused, Settings, section, setting

INSTEAD = "remove it; errors are in the log with their tracebacks"


@dataclass(frozen=True, slots=True)
class Sentry(Settings):
    """``reporting.sentry`` (GitLab)."""

    enabled: bool = setting(
        Boolean(), default=False, doc="`true`: send errors to Sentry", status=Refused("reports to Sentry", INSTEAD)
    )
    dsn: str = setting(Text(), "", "URL of the project", secret=True)
    environment: str = setting(Text(), "", "added to reports")


@dataclass(frozen=True, slots=True)
class Bugsnag(Settings):
    """``reporting.bugsnag`` (Distribution 2.8)."""

    apikey: str = setting(Text(), "", "key of the project", secret=True, status=Refused("reports to Bugsnag", INSTEAD))
    releasestage: str = setting(Text(), "", "added to reports")
    endpoint: str = setting(Text(), "", "URL of the service")


@dataclass(frozen=True, slots=True)
class NewRelic(Settings):
    """``reporting.newrelic`` (Distribution 2.8)."""

    licensekey: str = setting(
        Text(), "", "key of the account", secret=True, status=Refused("reports to New Relic", INSTEAD)
    )
    name: str = setting(Text(), "", "of this application")
    verbose: bool = setting(Boolean(), default=False, doc="`true`: log more")


@dataclass(frozen=True, slots=True)
class Reporting(Settings):
    """``reporting``."""

    sentry: Sentry = section(Sentry, "Sentry (GitLab)", status=Checked("reporting.sentry.enabled"))
    bugsnag: Bugsnag = section(Bugsnag, "Bugsnag (2.8)", status=Checked("reporting.bugsnag.apikey"))
    newrelic: NewRelic = section(NewRelic, "New Relic (2.8)", status=Checked("reporting.newrelic.licensekey"))


@dataclass(frozen=True, slots=True)
class Stackdriver(Settings):
    """``profiling.stackdriver`` (GitLab)."""

    enabled: bool = setting(
        Boolean(),
        default=False,
        doc="`true`: send profiles of the Go program",
        status=Refused("profiles to Stackdriver", "write enabled: false; use py-spy on a worker instead"),
    )
    service: str = setting(Text(), "", "name of the service")
    serviceversion: str = setting(Text(), "", "its version")
    projectid: str = setting(Text(), "", "of the cloud project")
    keyfile: str = setting(Text(), "", "JSON key file")


@dataclass(frozen=True, slots=True)
class Profiling(Settings):
    """``profiling`` (GitLab)."""

    stackdriver: Stackdriver = section(Stackdriver, "Google's profiler")
