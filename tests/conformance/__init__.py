"""What every barrier must do on every kind of memory, found out by doing it.

The checks need neither pytest nor a compiler, so that one job (``job.py``) runs all of them on this machine and in the
lab's guests; the ``test_*.py`` here judge what it brings back, and ``table.py`` renders it.
"""
