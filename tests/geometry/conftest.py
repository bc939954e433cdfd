from support.motions import motions, pip

__all__ = ["motions", "pip"]
