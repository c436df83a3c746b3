"""The sections of config.yml, one module each: dataclasses whose fields are the keys."""
