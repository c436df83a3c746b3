"""Matou: registry http."""
