from support.command import studio
from support.toys import shots, store, toy

__all__ = ["shots", "store", "studio", "toy"]
