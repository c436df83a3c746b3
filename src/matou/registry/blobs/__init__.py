"""Blobs in storage: where everything lies, uploads, and the links that the index decides."""
