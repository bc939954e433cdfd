"""How the rig's networks are trained: a stream of procedural characters, short pieces that can be resumed, curves."""
