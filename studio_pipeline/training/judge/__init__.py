"""Training of the judge: clips from previz, intentional deformation (good) and synthetic collapse (bad)."""
