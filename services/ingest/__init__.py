"""How do events and customer data get in? Validation and IngestService; not how they are kept."""
