"""Stands in for torchvision, which does not import beside torch's CPU wheel: only the names that timm imports.

Put this folder first on `sys.path` (or `PYTHONPATH`) before `import timm`. Models build and run with it; datasets and
torchvision's own transforms do not.
"""

import enum
import sys
import types

import torch


class InterpolationMode(enum.Enum):
    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


class FrozenBatchNorm2d(torch.nn.Module):
    """Known to timm by its type alone."""


class _Module(types.ModuleType):
    """A module in which every name that is not set is an empty class, good as a base class or in a type check."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def _add(path, **names):
    module = _Module(f"{__name__}.{path}")
    vars(module).update(names)
    sys.modules[module.__name__] = module
    parent, _, name = module.__name__.rpartition(".")
    setattr(sys.modules[parent], name, module)


_add("datasets")
_add("ops")
_add("ops.misc", FrozenBatchNorm2d=FrozenBatchNorm2d)
_add("transforms", InterpolationMode=InterpolationMode)
_add("transforms.functional", InterpolationMode=InterpolationMode)
_add("utils")
