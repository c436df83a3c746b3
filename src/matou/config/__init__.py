"""What settings say: the registry's ``config.yml`` and the environment of an installation, checked and typed."""
