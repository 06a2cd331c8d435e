"""What is read off a picture: words, regions, codes."""
