"""Matou: registry observe."""
