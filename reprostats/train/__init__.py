"""One configuration file: what is trained, on what, by how many workers."""
