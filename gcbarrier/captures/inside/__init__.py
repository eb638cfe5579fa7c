"""What runs in a program whose heap is captured: Python's standard library alone, from CPython 3.8 on.

This folder is put first on the program's PYTHONPATH; nothing but ``sitecustomize`` in it is imported by name.
"""
