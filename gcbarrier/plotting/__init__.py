"""Figures and tables out of a run: whole ones here, the panels they are made of in their own modules.

Figures are plain :class:`matplotlib.figure.Figure` objects that no window system knows of; a notebook shows them as
they are, and :func:`save` writes them as PNG and SVG.
"""

import contextlib
import os
import sys

from gcbarrier.plotting.workplace import writable_folder

# Before matplotlib is imported: where it can't write to its own folder it warns, and takes longer each time.
if "MPLCONFIGDIR" not in os.environ:
    os.environ["MPLCONFIGDIR"] = writable_folder()

# A notebook exports its window system to all that is started in it, and matplotlib refuses to be imported where the
# module of that name is not installed. Where it is, whoever imports us keeps it.
if "matplotlib" not in sys.modules and (backend := os.environ.pop("MPLBACKEND", "")):
    import matplotlib as mpl

    os.environ["MPLBACKEND"] = backend
    with contextlib.suppress(ValueError):
        mpl.rcParams["backend"] = backend

from gcbarrier.plotting.comparison import comparison, comparisons
from gcbarrier.plotting.files import save
from gcbarrier.plotting.table import pause_table, show
from gcbarrier.plotting.verified import left_out_lines, verification_table

__all__ = ["comparison", "comparisons", "left_out_lines", "pause_table", "save", "show", "verification_table"]
