"""What stands in for what is outside a test: services that answer as they are told."""
