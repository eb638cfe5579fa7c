"""What setuptools asks while it makes a wheel or an sdist: they hold the checkout's heaps and experiments as well.

In the checkout these lie beside the package, and an editable install uses them there. In a wheel they lie inside it, as
``gcbarrier/heaps`` and ``gcbarrier/experiments``: beside it would be among other people's packages.

Executed by its path before anything is installed: it imports nothing of the package.
"""

from pathlib import Path

from setuptools.command.build_py import build_py

_CARRIED = ("heaps", "experiments")


class BuildPy(build_py):
    """``build_py`` with the folders beside the package."""

    def run(self) -> None:
        """Build the package, and put the folders into it."""
        super().run()
        if not self.editable_mode:
            for source, target in self._carried():
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target), preserve_mode=False)

    def get_source_files(self) -> list[str]:
        """What an sdist must hold."""
        return [*super().get_source_files(), *(str(source) for source, _ in self._carried())]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What has been built."""
        carried = [] if self.editable_mode else [str(target) for _, target in self._carried()]
        return [*super().get_outputs(include_bytecode), *carried]

    def _carried(self) -> list[tuple[Path, Path]]:
        """Each file of the folders, and where it is built."""
        files = [path for name in _CARRIED for path in sorted(Path(name).rglob("*")) if path.is_file()]
        kept = [path for path in files if "__pycache__" not in path.parts]
        return [(path, Path(self.build_lib, "gcbarrier", path)) for path in kept]
