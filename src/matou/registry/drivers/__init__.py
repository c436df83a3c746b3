"""Matou: registry drivers."""
