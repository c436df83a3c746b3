"""What groups and projects may be called.

Source: GitLab's ``Gitlab::Regex`` and ``Gitlab::PathRegex``. A path in lower case is a part of a repository's name in
the registry, so the rules are stricter than those of URLs.
"""

from __future__ import annotations

import re
import unicodedata

PATH_LENGTH = 255
# A repository's name has at most 255 characters, and that of a project's root image is the project's full path.
FULL_PATH_LENGTH = 255
DEEPEST_GROUP = 20  # groups above a group; GitLab's limit

_PATH = re.compile(r"[a-zA-Z0-9]+([._-][a-zA-Z0-9]+)*")
PATH_MESSAGE = (
    "can only include non-accented letters, digits, '_', '-' and '.'. It must not start with '-', '_', or '.', nor end"
    " with '-', '_', '.', '.git', or '.atom', nor have two of them in a row."
)
GROUP_NAME_MESSAGE = (
    "can contain only letters, digits, emoji, '_', '.', dash, space, parenthesis. It must start with letter, digit,"
    " emoji or '_'."
)
PROJECT_NAME_MESSAGE = (
    "can contain only letters, digits, emoji, '_', '.', '+', dashes, or spaces. It must start with a letter, digit,"
    " emoji, or '_'."
)

# Names that pages and interfaces of GitLab or ours have at the top.
_RESERVED_AT_TOP = frozenset(
    {
        "404.html", "422.html", "500.html", "502.html", "503.html", "abuse_reports", "admin", "api",
        "apple-touch-icon-precomposed.png", "apple-touch-icon.png", "assets", "autocomplete", "ci", "dashboard",
        "deploy.html", "explore", "favicon.ico", "favicon.png", "files", "groups", "health_check", "help",
        "import", "invites", "jwt", "login", "notification_settings", "oauth", "profile", "projects", "public",
        "robots.txt", "s", "search", "sitemap", "sitemap.xml", "sitemap.xml.gz", "slash-command-logo.png",
        "snippets", "static", "unsubscribes", "uploads", "users", "v2",
    }
)  # fmt: skip
# Names that follow a group's or project's path in addresses.
_RESERVED_BELOW = frozenset(
    {
        "badges", "blame", "blob", "builds", "commits", "create", "create_dir", "edit", "files", "find_file",
        "new", "preview", "raw", "refs", "tree", "update", "wikis",
    }
)  # fmt: skip
_FIRST_SYMBOL, _LAST_EMOJI = "\u00a9", "\U0001f9ff"


def problem_of_path(path: str, *, at_top: bool) -> str | None:
    """Return what is wrong with the path of a group, user or project, or None.

    Args:
        path: its own, without those above.
        at_top: whether nothing is above.
    """
    if not path:
        return "can't be blank"
    if len(path) > PATH_LENGTH:
        return f"is too long (maximum is {PATH_LENGTH} characters)"
    if not _PATH.fullmatch(path) or path.lower().endswith((".git", ".atom")):
        return PATH_MESSAGE
    if path.lower() in (_RESERVED_AT_TOP if at_top else _RESERVED_BELOW):
        return f"{path} is a reserved name"
    return None


def problem_of_full_path(full_path: str) -> str | None:
    """Return what is wrong with a full path whose parts are right, or None."""
    if len(full_path) > FULL_PATH_LENGTH:
        return (
            f"makes a full path of {len(full_path)} characters ({full_path[:60]}...); names of images have at most"
            f" {FULL_PATH_LENGTH}"
        )
    return None


def problem_of_group_name(name: str) -> str | None:
    """Return what is wrong with a group's name, or None."""
    return _problem_of_name(name, "_.() ", GROUP_NAME_MESSAGE)


def problem_of_project_name(name: str) -> str | None:
    """Return what is wrong with a project's name, or None."""
    return _problem_of_name(name, "_.+ ", PROJECT_NAME_MESSAGE)


def _problem_of_name(name: str, marks: str, message: str) -> str | None:
    if not name.strip():
        return "can't be blank"
    if len(name) > PATH_LENGTH:
        return f"is too long (maximum is {PATH_LENGTH} characters)"
    if not (name[0] == "_" or _is_word(name[0])):
        return message
    if all(_is_word(character) or character in marks or unicodedata.category(character) == "Pd" for character in name):
        return None
    return message


def _is_word(character: str) -> bool:
    return character.isalnum() or _FIRST_SYMBOL <= character <= _LAST_EMOJI


def path_from_name(name: str) -> str:
    """Return the path that a project gets from its name when the caller gives none; empty when the name offers none.

    A name that can be a path is one; of others the letters and digits remain, in lower case, with dashes between.
    """
    if problem_of_path(name, at_top=False) is None:
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:PATH_LENGTH].rstrip("-")
