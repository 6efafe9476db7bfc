"""Which customers? The bitmap index over the log: pure, in memory, rebuilt at will; not what a rule means."""
