"""The three services. They never import one another; what two of them need lives in libs."""
