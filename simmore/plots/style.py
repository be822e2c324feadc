"""The look of all figures: the style sheet, the width of a page, and the colours."""

from pathlib import Path

import matplotlib.pyplot as plt

plt.style.use(Path(__file__).with_name("simmore.mplstyle"))

PAGE = 6.75  # width of a page of the paper, in inches
ORANGE, RED, BLUE, GREEN, PURPLE = "#E69F00", "#D55E00", "#0072B2", "#009E73", "#8E4A9E"
