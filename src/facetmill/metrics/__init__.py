"""One definition of each metric; `score` is the door."""
