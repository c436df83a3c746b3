"""Matou: jwt."""
