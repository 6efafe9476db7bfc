"""How does a service keep things on disk? LMDB environments, request ids, projects; not what is kept."""
