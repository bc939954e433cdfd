"""A point tracker by another method, run as a command: normalised cross-correlation with the patch of birth.

usage: python second_tracker.py INPUT.npz OUTPUT.npz [mode]

It shares nothing with the package: templates are searched for frame by frame around the last place, the peak of the
correlation is found to a fraction of a pixel by a parabola. The other modes misbehave, for the tests.
"""

import sys
import time

import cv2
import numpy as np

HALF, REACH, LEAST, RENEW = 4, 10, 0.7, 0.85


def cut(image, x, y, half):
    side = 2 * half + 1
    return cv2.getRectSubPix(image, (side, side), (float(x) - 0.5, float(y) - 0.5))


def peak(row):
    below = row[0] - 2.0 * row[1] + row[2]
    return 0.0 if below >= 0.0 else float(np.clip(0.5 * (row[0] - row[2]) / below, -0.5, 0.5))


def followed(gray, start, x, y):
    template = cut(gray[start], x, y, HALF)
    places, seen = np.full((len(gray), 2), (x, y), np.float32), np.zeros(len(gray), bool)
    seen[start] = True
    for index in range(start + 1, len(gray)):
        score = cv2.matchTemplate(cut(gray[index], x, y, HALF + REACH), template, cv2.TM_CCOEFF_NORMED)
        _, best, _, (column, row) = cv2.minMaxLoc(score)
        if best < LEAST or not (0 < column < 2 * REACH and 0 < row < 2 * REACH):
            places[index:] = x, y
            break
        x += column - REACH + peak(score[row, column - 1 : column + 2])
        y += row - REACH + peak(score[row - 1 : row + 2, column])
        places[index], seen[index] = (x, y), True
        if best < RENEW:
            template = cut(gray[index], x, y, HALF)
    return places, seen


def main(given, answer, mode="honest"):
    with np.load(given, allow_pickle=False) as archive:
        frames, points = archive["frames"], archive["points"]
    if mode == "fails":
        print("loading weights", file=sys.stderr)
        sys.exit("no weights\nRuntimeError: out of memory")
    if mode == "hangs":
        time.sleep(60)
    if mode == "silent":
        return
    if mode == "pickles":
        np.savez(answer, tracks=np.array([{}], dtype=object), visibility=np.zeros(1, bool))
        return
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    found = [followed(gray, int(start), x, y) for start, x, y in points]
    tracks, seen = np.stack([f[0] for f in found], axis=1), np.stack([f[1] for f in found], axis=1)
    if mode == "transposes":
        tracks = tracks.transpose(1, 0, 2)
    if mode == "nan":
        tracks[seen] = np.nan
    np.savez_compressed(answer, tracks=tracks, visibility=seen)


if __name__ == "__main__":
    main(*sys.argv[1:])
