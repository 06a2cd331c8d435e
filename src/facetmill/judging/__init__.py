"""Whether a candidate goes live: measured, compared, judged."""
