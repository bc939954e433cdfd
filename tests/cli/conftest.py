from support.toys import shots, store, toy

__all__ = ["shots", "store", "toy"]
