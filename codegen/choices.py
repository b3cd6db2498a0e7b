"""What options are chosen from, apart from what loads NumPy: the command line shows them in its help."""

from __future__ import annotations

UPLOADS = ("entropy", "random")
BUDGET, SHARE = 256, 0.5  # of --upload-budget and --upload-share
