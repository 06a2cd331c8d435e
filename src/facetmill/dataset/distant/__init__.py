"""Image-only attributes of one product set, learned from the labels of other picture sets.

Source: MuJo-SF, section III-B2, "multi-dataset associative distant supervisor".
"""
