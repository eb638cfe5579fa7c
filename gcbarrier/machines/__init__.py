"""Where things run: this machine, a fresh process of it, the lab's guest, Dask's workers.

``host`` says what this machine is and ``identity`` which one, ``features`` what its kernel can do (tried, not looked
up), ``fresh`` runs each job in a new process, ``children`` says what came of a forked one, ``cache`` is the folder for
what can be made again, ``lab/`` a stock kernel under QEMU, and ``cluster/`` other machines. ``temper`` reads what a
machine is at, ``placement`` says which processors threads are put on, ``quiet`` what would make it quieter. May import
``plugins``, ``primitives`` and the records; knows nothing of what is measured.
"""
