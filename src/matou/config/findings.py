"""What is wrong, or odd, in a configuration: one line each, with the place it was found at."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_FINDINGS = 50  # of each sort: a file of garbage is not worth ten thousand lines


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written.

    Attributes:
        source: path of the file, or ``environment variable NAME``.
        line: in the file, from 1; 0 for the environment.
    """

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem.

    Attributes:
        origin: where.
        text: what was found and what was expected; no secrets.
    """

    origin: Origin
    text: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.text}"


class ConfigurationError(ValueError):
    """A configuration cannot be used; the text has one line a problem.

    Attributes:
        findings: the same, one by one.
        warnings: what else was found until then.
    """

    def __init__(self, findings: tuple[Finding, ...], warnings: tuple[Finding, ...] = ()) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = findings
        self.warnings = warnings

    def __reduce__(self) -> tuple[type[ConfigurationError], tuple[tuple[Finding, ...], tuple[Finding, ...]]]:
        return type(self), (self.findings, self.warnings)


@dataclass(slots=True)
class Findings:
    """Errors and warnings as they are collected.

    Attributes:
        errors: the configuration cannot be used.
        warnings: it can, but the reader should know.
    """

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def error(self, origin: Origin, text: str) -> None:
        """Note an error."""
        self._add(self.errors, Finding(origin, text))

    def warn(self, origin: Origin, text: str) -> None:
        """Note a warning."""
        self._add(self.warnings, Finding(origin, text))

    @staticmethod
    def _add(findings: list[Finding], finding: Finding) -> None:
        # The same node is decoded once a place that an alias puts it.
        if len(findings) < MOST_FINDINGS and finding not in findings:
            findings.append(finding)

    def raise_errors(self) -> None:
        """Raise what was collected, if anything.

        Raises:
            ConfigurationError: there are errors.
        """
        if self.errors:
            raise ConfigurationError(tuple(sorted(self.errors, key=_by_line)), self.sorted_warnings())

    def sorted_warnings(self) -> tuple[Finding, ...]:
        """Return the warnings in the order of the file, then those of the environment."""
        return tuple(sorted(self.warnings, key=_by_line))


def _by_line(finding: Finding) -> tuple[bool, str, int]:
    # What the environment says is read last, and has no lines.
    return finding.origin.line == 0, finding.origin.source, finding.origin.line
