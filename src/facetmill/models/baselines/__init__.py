"""What the papers compare with, and what anyone could write in an hour."""
