"""Figures and tables out of a run: whole ones here, the panels they are made of in their own modules.

Figures are plain :class:`matplotlib.figure.Figure` objects that no window system knows of; a notebook shows them as
they are, and :func:`save` writes them as PNG and SVG.
"""

import os

from gcbarrier.plotting.workplace import writable_folder

# Before matplotlib is imported: where it can't write to its own folder it warns, and takes longer each time.
if "MPLCONFIGDIR" not in os.environ:
    os.environ["MPLCONFIGDIR"] = writable_folder()

from gcbarrier.plotting.comparison import comparison, comparisons
from gcbarrier.plotting.files import save
from gcbarrier.plotting.table import pause_table, show
from gcbarrier.plotting.verified import verification_table

__all__ = ["comparison", "comparisons", "pause_table", "save", "show", "verification_table"]
