"""Django's settings, derived from the installation that the environment describes.

Source: Django 5.2 "Settings". Whatever is not named here has Django's default.
"""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from matou.config.installation import Installation

INSTALLATION = Installation.from_environ()
_portal = urlsplit(INSTALLATION.portal_url)
_is_https = _portal.scheme == "https"


def _secret_key() -> str:
    """Return the key that ``portal.setup`` made; commands before the first start get one that nothing outlives."""
    try:
        return INSTALLATION.portal_secret.read_text("ascii").strip()
    except FileNotFoundError:
        return secrets.token_hex(32)


SECRET_KEY = _secret_key()
DEBUG = False
# Any name and address leads here, as behind a proxy; links are built from the configured portal URL, not from Host.
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.auth",
    "axes",
    "matou.portal.accounts",
    "matou.portal.namespaces",
    "matou.portal.tokens",
    "matou.portal.images",
    "matou.portal.web",
]
MIDDLEWARE = [
    "matou.portal.web.headers.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "matou.portal.api.encoded_paths.EncodedPathMiddleware",
]
ROOT_URLCONF = "matou.portal.urls"
APPEND_SLASH = False  # a POST to a path without its slash must fail, not become a GET
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": INSTALLATION.portal_database,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # Writers queue from the start of their transaction instead of failing in its middle.
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "matou.portal.accounts.hashers.PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Wrong passwords, by user and address together: others on other addresses, and all valid tokens, are not touched.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = dt.timedelta(minutes=10)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

REGISTRY_TOKEN_LIFETIME = dt.timedelta(minutes=5)

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LOCALE_PATHS = [Path(__file__).parent / "locale"]
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]

SESSION_COOKIE_SECURE = _is_https
CSRF_COOKIE_SECURE = _is_https
CSRF_FAILURE_VIEW = "matou.portal.web.failures.forged"
CSRF_TRUSTED_ORIGINS = [f"{_portal.scheme}://{_portal.netloc}"]
SESSION_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

LOGGING_CONFIG = None  # the server sets up logging
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # user names are unique, whatever their case, by a constraint on their lower-case form
    "axes.W002",  # AxesMiddleware renders pages for locked-out users; our services answer in their own formats
]
