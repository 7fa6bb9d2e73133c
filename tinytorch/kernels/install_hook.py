"""Build hook: compile the native kernels for an install from source. Without a compiler the install goes on without."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

__all__ = ["NativeKernels"]

PACKAGE = "tinytorch/kernels"


class NativeKernels(BuildHookInterface[Any]):
    """Compile into the checkout for an editable install, else into a folder from which the wheel takes the module."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the module and the tag that goes with it; say why where it cannot be built."""
        if self.target_name != "wheel":
            return
        builder = _load(Path(self.root, PACKAGE, "build_native.py"))
        self._scratch = tempfile.TemporaryDirectory()
        module = Path(self._scratch.name, builder.module_file())
        try:
            if version == "editable":
                builder.build_here()
            else:
                builder.build(module)
        except builder.BuildError as error:
            self.app.display_warning(f"The native kernels are not built, the NumPy ones will run: {error}")
            reason = Path(self._scratch.name, builder.REASON)
            reason.write_text(f"{error}\n")
            build_data["force_include"][str(reason)] = f"{PACKAGE}/native/{builder.REASON}"
            return
        build_data["pure_python"] = False
        build_data["tag"] = _tag(is_stable=".abi3." in module.name)
        if version != "editable":
            build_data["force_include"][str(module)] = f"{PACKAGE}/{module.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was only made for the wheel."""
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tag(is_stable: bool) -> str:
    """Return the wheel's tag for this platform: any CPython from 3.11 on if the module keeps to the stable ABI."""
    tag = next(tag for tag in sys_tags() if "manylinux" not in tag.platform and "musllinux" not in tag.platform)
    return f"cp311-abi3-{tag.platform}" if is_stable else str(tag)
