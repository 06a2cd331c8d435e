"""All that cannot be made again, copied to a folder and put back from it."""
