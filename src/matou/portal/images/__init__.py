"""Container repositories: what the portal knows of the images in the registry, and who may pull and push them."""
