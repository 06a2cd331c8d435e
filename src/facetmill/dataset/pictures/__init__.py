"""Stages that look at pictures, each over shards."""
