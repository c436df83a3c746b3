"""Matou: registry auth."""
