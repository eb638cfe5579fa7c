"""Where things are, seen from the checkout: tests move, what they use stays."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TESTS = CHECKOUT / "tests"
SUPPORT = TESTS / "support"
PLUGINS = SUPPORT / "plugins"
"""A folder of plug-ins as a user would have one: heaps, barriers, collectors and experiments that tests need."""
