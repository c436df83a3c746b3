"""The REST API under ``/api/v4``: GitLab's paths, parameters, bodies, status codes and headers."""
