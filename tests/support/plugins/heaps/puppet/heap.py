"""A mutator on strings: it does what a script says, for comparison with a model of the heap.

The script is the program's blob (``tests/support/puppet.py`` makes it); without one it does nothing.
"""

from attrs import frozen


@frozen(kw_only=True)
class Params:
    """None: everything is in the script."""
