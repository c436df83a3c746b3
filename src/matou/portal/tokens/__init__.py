"""Tokens of all kinds: personal, project and group access tokens, deploy tokens, CI job tokens, OAuth tokens."""
