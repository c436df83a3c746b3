"""Distribution's ``config.yml``, of the versions 2.8 and 3 and of GitLab's fork: read, checked and typed.

Every key of the three is known. What Matou does not do is refused by name, so that a setting is never lost in silence;
keys that nobody knows are warned of.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from matou.config.environment import override
from matou.config.findings import ConfigurationError, Finding, Findings, Origin
from matou.config.kinds import Mismatch, Place
from matou.config.schema import Section, find_elsewhere
from matou.config.sections.root import VERSION, Configuration
from matou.config.yaml_lines import LARGEST, Mapping, Scalar, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping as Environ
    from pathlib import Path

    from matou.config.yaml_lines import Node

__all__ = ["Configuration", "ConfigurationError", "Finding", "load_configuration", "parse_configuration"]


def load_configuration(path: Path, environ: Environ[str, str]) -> Configuration:
    """Read a configuration.

    Args:
        path: of config.yml.
        environ: the environment, whose ``REGISTRY_*`` variables override keys.

    Raises:
        ConfigurationError: it cannot be read or used; one line a problem, each with file and line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(
            (Finding(Origin(str(path)), f"cannot be read: {reason}; expected a registry's config.yml"),)
        ) from error
    return parse_configuration(data, str(path), environ)


def parse_configuration(data: bytes, source: str, environ: Environ[str, str]) -> Configuration:
    """Read a configuration from memory.

    Args:
        data: the content of config.yml.
        source: its name in messages.
        environ: as in ``load_configuration``.

    Raises:
        ConfigurationError: it cannot be used; one line a problem, each with file and line.
    """
    findings = Findings()
    root: Section[Configuration] = Section(Configuration)
    tree = read_yaml(data, Origin(source, 1), findings)
    _check_version(tree, findings)
    tree = override(tree, root, environ, findings)
    try:
        configuration = root.read(tree, Place("", findings, elsewhere=functools.partial(find_elsewhere, Configuration)))
    except Mismatch as error:
        findings.error(tree.origin, f"the configuration {error}")
        configuration = Configuration()
    findings.raise_errors()
    return dataclasses.replace(configuration, warnings=findings.sorted_warnings())


def _check_version(tree: Node, findings: Findings) -> None:
    """Refuse another version at once: its keys may mean something else."""
    if not isinstance(tree, Mapping):
        return
    version = tree.entries.get("version")
    if isinstance(version, Scalar) and version.tag != "null" and version.text != VERSION:
        findings.error(version.origin, f"unsupported version: {version.text[:40]!r}; expected version: {VERSION}")
        findings.raise_errors()
