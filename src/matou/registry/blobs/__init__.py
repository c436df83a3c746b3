"""Matou: registry blobs."""
