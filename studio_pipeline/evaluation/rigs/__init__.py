"""Rigs against characters that bring their own: skeleton, skin, motion, seconds (`studio evaluate rig`)."""
