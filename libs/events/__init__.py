"""What has happened? The event log: batches on disk, dictionaries, dedupe, customers; not who matches."""
