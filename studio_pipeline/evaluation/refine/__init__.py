"""Measuring the physics: `studio evaluate refine`. The same clips with and without it, and scenes made to wobble."""
