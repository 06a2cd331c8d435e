"""Which models there are, which one is live, and why."""
