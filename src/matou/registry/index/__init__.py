"""Matou: registry index."""
