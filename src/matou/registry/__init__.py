"""Matou: registry."""
