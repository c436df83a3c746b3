"""Moving images between two storages of any kind: ``matou storage migrate``."""
