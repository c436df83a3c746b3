"""Which blobs storage has, and for a while what it said of them last."""
