"""Places to play in: a dome, a ground and rings of painted things, seen by a ray per pixel; parallax is right."""
