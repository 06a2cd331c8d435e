"""What is true of a product: spans of its values, its split, and the schema that follows."""
