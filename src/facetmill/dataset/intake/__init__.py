"""From data in any format to shards of checked products."""
