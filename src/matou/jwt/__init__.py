"""Registry tokens: key ids, key files, signing, scopes and verification.

The only package, beside ``matou.config``, that portal and registry share.
"""
