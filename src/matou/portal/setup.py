"""Making an installation ready: directories, keys, database, administrator.

Every step looks at what is there and does the rest; after a crash at any moment the next run goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import DatabaseError

from matou.jwt.keyfiles import KeyFileError, ensure_key_pair
from matou.portal.logging import configure
from matou.system.files import PRIVATE, replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from matou.config.installation import Installation

PRIVATE_DIRECTORY = 0o700
SECRET_BYTES = 32
PASSWORD_BYTES = 15  # 20 characters
ADMINISTRATOR = "root"
ADMINISTRATOR_EMAIL = "admin@example.com"  # GitLab's

log = logging.getLogger(__name__)


class SetupError(Exception):
    """The installation cannot be made ready; the message says why and what to do."""


def prepare(installation: Installation) -> None:
    """Make an installation ready; quick when it is.

    Args:
        installation: of this machine; nobody else prepares it at the same time.

    Raises:
        SystemExit: with status 1, after one line on standard error.
    """
    configure(logging.WARNING)
    try:
        _prepare(installation)
    except (SetupError, KeyFileError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or installation.home}: {error.strerror or error}; MATOU_HOME must be writable")
    except (DatabaseError, sqlite3.Error) as error:
        _fail(f"{installation.portal_database}: {error}; is the disk full, or the file damaged?")
    except ImproperlyConfigured as error:
        _fail(f"the portal's settings cannot be used: {error}")


def _fail(message: str) -> None:
    sys.stderr.write(f"matou: {' '.join(message.split())}\n")
    raise SystemExit(1)


def _prepare(installation: Installation) -> None:
    os.umask(0o077)
    for directory in (installation.home, installation.portal_database.parent, installation.token_key.parent):
        directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    _ensure_secret_key(installation.portal_secret)
    ensure_key_pair(installation.token_key, installation.token_certificate)
    start_django()
    _migrate()
    _ensure_administrator(installation)
    _tidy()


def start_django() -> None:
    """Load Django with our settings; to be called when the secret key is there."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "matou.portal.settings")
    import django  # noqa: PLC0415 -- reads the settings, which read the secret key

    django.setup()


def _ensure_secret_key(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.read_text("ascii").strip():
            path.chmod(PRIVATE)
            return
    replace_file(path, f"{secrets.token_hex(SECRET_BYTES)}\n".encode("ascii"))


def _migrate() -> None:
    """Bring the database's schema up to date; each migration is one transaction."""
    from django.core.management.sql import emit_post_migrate_signal  # noqa: PLC0415 -- after start_django
    from django.db import connection  # noqa: PLC0415 -- as above
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415 -- as above

    class Executor(MigrationExecutor):
        """Records a migration in its own transaction, always: Django may do so after it, and be killed in between."""

        def apply_migration(self, state: Any, migration: Any, fake: bool = False, fake_initial: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 -- Django's arguments
            with self.connection.schema_editor(atomic=migration.atomic) as editor:
                state = migration.apply(state, editor)
                self.record_migration(migration)  # type: ignore[call-arg] # the types are of another version
            if self.progress_callback:
                self.progress_callback("apply_success", migration, fake)
            return state

    executor = Executor(connection)
    unknown = sorted(
        f"{app}.{name}"
        for app, name in set(executor.loader.applied_migrations) - set(executor.loader.disk_migrations)
        if app in executor.loader.migrated_apps
    )
    if unknown:
        raise SetupError(
            f"the portal's database was made by a newer version of Matou (it has {unknown[-1]}); install that version, "
            "or restore a backup of the database"
        )
    targets = executor.loader.graph.leaf_nodes()
    if executor.migration_plan(targets):
        executor.recorder.ensure_schema()
        executor.migrate(targets)
        emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)


def _ensure_administrator(installation: Installation) -> None:
    """Make the administrator, unless there is one of any name."""
    from matou.portal.accounts.models import User  # noqa: PLC0415 -- after start_django

    if User.objects.filter(is_admin=True).exists():
        return
    if User.objects.filter(username__iexact=ADMINISTRATOR).exists():
        raise SetupError(
            f"there is no administrator, but a user {ADMINISTRATOR!r}; restore a backup of "
            f"{installation.portal_database}"
        )
    if installation.root_password is not None:
        _create_administrator(installation.root_password)
        return
    # The password is on disk before anybody needs it: a crash in between leaves nobody outside.
    path = installation.initial_root_password
    password = ""
    with contextlib.suppress(FileNotFoundError):
        password = path.read_text("utf-8").strip()
    if not password:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        replace_file(path, f"{password}\n".encode())
    _create_administrator(password)


def _create_administrator(password: str) -> None:
    from django.contrib.auth.password_validation import validate_password  # noqa: PLC0415 -- after start_django
    from django.db import transaction  # noqa: PLC0415 -- as above

    from matou.portal.accounts.services import LONGEST_PASSWORD, create_user  # noqa: PLC0415 -- as above

    if len(password) > LONGEST_PASSWORD:
        raise SetupError(
            f"MATOU_ROOT_PASSWORD has {len(password)} characters, of which at most {LONGEST_PASSWORD} are possible"
        )
    with transaction.atomic():
        root = create_user(
            username=ADMINISTRATOR, name="Administrator", email=ADMINISTRATOR_EMAIL, password=None, is_admin=True
        )
        # A weak password is better than a machine that nobody gets into: whoever set it hears of it, and can change it.
        try:
            validate_password(password, root)
        except ValidationError as error:
            log.warning("MATOU_ROOT_PASSWORD is weak and should be changed soon: %s", " ".join(error.messages))
        root.set_password(password)
        root.save(update_fields=["password"])


def _tidy() -> None:
    """Delete what has expired; not worth failing for."""
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415 -- after start_django

    from matou.portal.tokens.services import forget_dead_tokens  # noqa: PLC0415 -- as above

    try:
        forget_dead_tokens()
        SessionStore.clear_expired()
    except DatabaseError as error:
        log.warning("expired tokens and sessions could not be deleted: %s", error)
