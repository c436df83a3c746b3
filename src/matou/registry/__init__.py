"""The data plane: repositories, manifests, blobs and tokens. It has never heard of a user or a project."""
