"""Matou: portal."""
