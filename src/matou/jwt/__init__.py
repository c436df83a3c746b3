"""Registry tokens: key ids, key files, signing, scopes and verification.

One of the packages that portal and registry share; see docs/architecture.md for the others.
"""
