"""Labels that figures and the explorer share."""

OPERATION_LABELS = ("none", "skip", "conv 1×1", "conv 3×3", "avg pool 3×3")  # in the order of space.OPERATIONS
