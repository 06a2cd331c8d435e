"""What the flows and commands do: train, sweep, reproduce, score, recover."""
