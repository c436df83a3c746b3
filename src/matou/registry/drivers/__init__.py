"""Storage drivers; ``base`` is their contract."""
