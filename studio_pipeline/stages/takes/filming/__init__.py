"""The camera of a previz: where it stands, how it moves, what of the directives it can follow."""
