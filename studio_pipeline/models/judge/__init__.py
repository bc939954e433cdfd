"""The judge of takes: measures of a clip that a collapse upsets, and the network that scores four heads from them."""
