"""The registry's HTTP API: routes, a module a resource, and the border to the server."""
