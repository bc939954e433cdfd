from support.blender import blender
from support.motions import pip

__all__ = ["blender", "pip"]
