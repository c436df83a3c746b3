"""Digests, names, media types, manifests, ranges, pages: pure functions, no input or output."""
