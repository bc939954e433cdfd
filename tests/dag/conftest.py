from support.command import command
from support.toys import shots, store, toy

__all__ = ["command", "shots", "store", "toy"]
