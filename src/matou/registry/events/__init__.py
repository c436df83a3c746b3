"""Matou: registry events."""
