from support.blender import blender

__all__ = ["blender"]
