"""How passwords are hashed."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class PasswordHasher(Argon2PasswordHasher):
    """Argon2id with the first parameters that OWASP's "Password Storage Cheat Sheet" recommends.

    Django's defaults take 100 MiB and eight threads for each password; a registry checks one for every image pulled.
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1
