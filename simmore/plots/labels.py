"""Labels and colours that figures and the explorer share."""

OPERATION_LABELS = ("none", "skip", "conv 1×1", "conv 3×3", "avg pool 3×3")  # in the order of space.OPERATIONS
OPERATION_COLORS = ("#BBBBBB", "#4D4D4D", "#56B4E9", "#0072B2", "#E69F00")

_READABLE = {
    "cifar10": "CIFAR-10", "cifar100": "CIFAR-100",
    "p": "score $p$", "score": "score $p$", "naswot": "NASWOT", "logsynflow": "LogSynflow", "skip": "SkipScore",
    "params": "parameters", "flops": "FLOPs", "az": "AZ-NAS",
    "naswot, natural-like, sample": "NASWOT, natural-like noise*", "naswot, noise, same sample": "NASWOT, white noise*",
    "naswot, published": "NASWOT, published", "logsynflow, published": "LogSynflow, published",
    "freerea": "FreeREA", "lut": "LUT", "lut_evolution": "LUT and evolution", "mean_device": "best cell of mean device",
    "fixed_cell": "best fixed cell",
    "paper": "paper's policy", "paper_blind": "paper's policy, no latencies", "heldout": "paper's policy, held out",
    "trpo": "paper's policy, TRPO", "a2c": "paper's policy, A2C", "no_history": "paper's policy, no history",
    "target_only": "policy of the target", "controller": "controller", "controller_blind": "controller, no latencies",
    "controller_supervised": "controller, supervised", "linear_greedy": "linear model, greedy",
    "linear_bound": "linear model, bound", "covariance_greedy": "covariance, greedy",
    "covariance_bound": "covariance, bound", "random": "random search",
    "best accuracy within": "most accurate within the limit",
}  # fmt: skip


def readable(name: object) -> str:
    """Name of a data set, score or strategy in figures.

    >>> readable("expected_improvement")
    'expected improvement'
    """
    return _READABLE.get(str(name), str(name).replace("_", " "))
