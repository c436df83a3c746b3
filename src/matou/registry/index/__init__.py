"""The index: which repository holds which blobs, manifests and tags. Storage can rebuild it at any time."""
