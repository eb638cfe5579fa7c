"""The script that records the corpus, which lies outside the library."""

import importlib.util
from types import ModuleType

from places import CHECKOUT

CORPUS = CHECKOUT / "heaps" / "trace" / "corpus"


def recipes() -> ModuleType:
    """What it records, and how."""
    spec = importlib.util.spec_from_file_location("corpus_recipes", CORPUS / "recipes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
