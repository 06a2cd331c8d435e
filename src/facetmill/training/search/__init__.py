"""Which hyper-parameters: one search space per model, and the study that tries them."""
