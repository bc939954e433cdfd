from support.delivering import delivering, make_all
from support.toys import shots, store, toy

__all__ = ["delivering", "make_all", "shots", "store", "toy"]
