"""``validation``, ``policy``, ``compatibility``, ``catalog`` and ``tags``: what may be pushed and listed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from matou.config.containers import ListOf
from matou.config.kinds import Boolean, Choice, Integer, Text
from matou.config.schema import Checked, Refused, Section, Settings, section, setting


def check_pattern(pattern: str) -> None:
    """Check a regular expression.

    Raises:
        ValueError: it is none.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error


PATTERNS = ListOf(Text(check_pattern, "a regular expression"))


@dataclass(frozen=True, slots=True)
class Urls(Settings):
    """``validation.manifests.urls``."""

    allow: tuple[str, ...] = setting(PATTERNS, (), "one of these must match the URLs of foreign layers")
    deny: tuple[str, ...] = setting(PATTERNS, (), "none of these may match")


@dataclass(frozen=True, slots=True)
class Platform(Settings):
    """``validation.manifests.indexes.platformlist[]``."""

    architecture: str = setting(Text(), "", "such as `amd64`")
    os: str = setting(Text(), "", "such as `linux`")


@dataclass(frozen=True, slots=True)
class Indexes(Settings):
    """``validation.manifests.indexes``."""

    platforms: str = setting(
        Choice(("all", "none", "list"), fold=True), "all", "children of an index that must exist when it is pushed"
    )
    platformlist: tuple[Platform, ...] = setting(ListOf(Section(Platform)), (), "for `list`: their platforms")


@dataclass(frozen=True, slots=True)
class Manifests(Settings):
    """``validation.manifests``."""

    urls: Urls = section(Urls, "of layers that lie elsewhere")
    indexes: Indexes = section(Indexes, "of several platforms")
    referencelimit: int = setting(Integer(0), 0, "most references of a manifest; 0: no limit (GitLab)")
    payloadsizelimit: int = setting(Integer(0), 0, "most bytes of a manifest, up to 4 MiB; 0: 4 MiB (GitLab)")


@dataclass(frozen=True, slots=True)
class Validation(Settings):
    """``validation``."""

    enabled: bool = setting(Boolean(), default=False, doc="`true`: wins over `disabled` (deprecated)")
    disabled: bool = setting(Boolean(), default=False, doc="`true`: the rules below do not hold")
    manifests: Manifests = section(Manifests, "rules for manifests")

    @property
    def is_enabled(self) -> bool:
        """Whether the rules hold."""
        return self.enabled or not self.disabled


@dataclass(frozen=True, slots=True)
class RepositoryPolicy(Settings):
    """``policy.repository``."""

    classes: tuple[str, ...] = setting(
        ListOf(Text()),
        (),
        "classes of images that may be pushed, such as `image` and `plugin`",
        status=Refused("a policy of repository classes", "remove it; every class may be pushed"),
    )


@dataclass(frozen=True, slots=True)
class Policy(Settings):
    """``policy``."""

    repository: RepositoryPolicy = section(RepositoryPolicy, "of repositories")


@dataclass(frozen=True, slots=True)
class Schema1(Settings):
    """``compatibility.schema1`` (Distribution 2.8)."""

    enabled: bool = setting(
        Boolean(),
        default=False,
        doc="`true`: images of Docker before 1.10 may be pushed",
        status=Refused(
            "Docker image manifests of schema 1", "write enabled: false; build such images again with a present Docker"
        ),
    )
    signingkeyfile: str = setting(
        Text(), "", "key that signs them", go="TrustKey", status=Checked("compatibility.schema1.enabled")
    )


@dataclass(frozen=True, slots=True)
class Compatibility(Settings):
    """``compatibility`` (Distribution 2.8)."""

    schema1: Schema1 = section(Schema1, "images of Docker before 1.10")


@dataclass(frozen=True, slots=True)
class Catalog(Settings):
    """``catalog``."""

    maxentries: int = setting(Integer(), 1000, "most repositories of an answer; 0 or less: 1000")

    def verify(self, node: object, place: object) -> Catalog:  # noqa: ARG002 -- the interface of all sections
        """Take 0 and less as the default, as Distribution does."""
        return self if self.maxentries > 0 else Catalog()


@dataclass(frozen=True, slots=True)
class Tags(Settings):
    """``tags``."""

    maxtags: int = setting(Integer(0), 1000, "most tags of an answer to a client that asks for a number; 0: 1000")

    def verify(self, node: object, place: object) -> Tags:  # noqa: ARG002 -- the interface of all sections
        """Take 0 as the default, as Distribution does."""
        return self if self.maxtags else Tags()
