"""Matou: registry content."""
