"""Matou: config."""
