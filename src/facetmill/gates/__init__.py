"""Gates: claims about a dataset or a model that can be false. A gate has no off switch, and no answer means no."""
