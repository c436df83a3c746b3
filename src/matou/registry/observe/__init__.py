"""What the registry tells about itself: logs, access log, metrics, health, debug server."""
