from support.command import command
from support.delivering import delivering, hands, make_all
from support.toys import shots, store, toy

__all__ = ["command", "delivering", "hands", "make_all", "shots", "store", "toy"]
