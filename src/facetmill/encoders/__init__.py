"""What turns raw input into vectors."""
