"""Make the motions that ship with the studio: ``python assets/motions/generate.py [walk run wave jump]``.

BVH files in metres, 30 frames a second, on one skeleton of 22 joints (see ``body.py``). The same bytes come out every
time. ``walk`` and ``run`` are one cycle each and travel along +Z: their last frame is their first one stride on;
``wave`` and ``jump`` stand in place, and their last frame is their first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gaits import RUN, WALK, gait
from standing import jump, wave

from studio_pipeline.geometry.bvh import write_bvh

FOLDER = Path(__file__).resolve().parent
MOTIONS = {"walk": lambda: gait(WALK), "run": lambda: gait(RUN), "wave": wave, "jump": jump}


def main(names: list[str]) -> None:
    """Write the motions called ``names``, or all."""
    for name in names or MOTIONS:
        path = FOLDER / f"{name}.bvh"
        write_bvh(MOTIONS[name]().bvh(), path)
        print(f"{path.name}: {path.stat().st_size / 1e3:.1f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
