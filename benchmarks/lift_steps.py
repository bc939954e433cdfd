"""Single steps of the lift from the truth: how often a frame is lost, how far alignment strays, how well poses explain.

    python benchmarks/lift_steps.py --data ../shared/data [--characters GLB[:CLIP] ...]

The rig is fitted to the true vertices first (not what is measured: the true pose of each frame). Then, for every clip:

- `lost`: from the truth's last two poses the lift takes one step to a frame; lost when it explains the frame by over
  12 % worse than the truth does and errs by over 0.6 % of the diagonal in the plane;
- `strays`: direct alignment started at the truth, in-plane and 3D, medians over frames, percent of the diagonal;
- `flow`: the same for rounds of flow and contours alone;
- `truth`: what the truth leaves unexplained, as a multiple of what index 0 leaves, median and largest;
- `ms/pose`: one pose judged by the search.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from studio_pipeline.evaluation.cases import Case, open_subject, parse_case
from studio_pipeline.evaluation.scores import vertex_areas
from studio_pipeline.evaluation.shots import film_shot
from studio_pipeline.evaluation.trials import Work
from studio_pipeline.geometry.cameras import project
from studio_pipeline.line.threads import fix_threads
from studio_pipeline.schema.records import Rig
from studio_pipeline.stages.lifted_motion import LiftSettings
from studio_pipeline.stages.lifted_motion.equations import Round
from studio_pipeline.stages.lifted_motion.kinematics import Pose, Skeleton, Skin
from studio_pipeline.stages.lifted_motion.synthesis import Fitter
from studio_pipeline.stages.observations import ClassicalSettings
from studio_pipeline.stages.observations.classical import observe

FAST = (
    "godot_mannequiny.glb:run_root.001",
    "quaternius_enemy_Frog.glb:FrogArmature|Frog_Attack",
    "quaternius_enemy_Frog.glb:FrogArmature|Frog_Jump",
    "RobotExpressive.glb:Running",
    "RobotExpressive.glb:Dance",
    "bevy_Fox.glb:Run",
    "quaternius_animal_Husky.glb:AnimalArmature|Gallop",
    "quaternius_single_knight_KnightCharacter.glb:HumanArmature|Run",
)
LOST, ERRS = 1.12, 0.6
ROUNDS = 12  # Gauss-Newton steps that fit the rig to the true vertices
POINTS = 500  # of them that are looked at


def true_poses(rig: Rig, rest: np.ndarray, truth: np.ndarray, diagonal: float) -> list[Pose]:
    """Poses of the rig that give the true vertices [T, V, 3], each from the one before."""
    skeleton, joints = Skeleton(rig), rig.joint_count
    chosen = np.arange(0, len(rest), max(1, len(rest) // POINTS))
    points = np.concatenate([rest[chosen], np.ones((len(chosen), 1))], axis=1)
    moments = np.asarray(rig.weights, np.float64)[chosen][:, :, None] * points[:, None, :]
    held = np.full(6 * joints, 1e-4)
    held[3 * joints :], held[3 * joints : 3 * joints + 3] = 0.1, 1e-6
    pose, poses = Pose.rest(joints), []
    for vertices in truth.astype(np.float64):
        for _ in range(ROUNDS):
            skin = Skin(skeleton, pose)
            gap, slope = (vertices[chosen] - skin.points(moments)).ravel(), skin.jacobian(moments)
            slope = slope.reshape(-1, 6 * joints)
            step = np.linalg.solve(slope.T @ slope + np.diag(held) * diagonal**2, slope.T @ gap)
            turn = np.linalg.norm(step.reshape(2, -1, 3)[0], axis=1).max()
            pose = pose.moved(step * min(1.0, 0.8 / max(float(turn), 1e-9)))
        poses.append(pose)
    return poses


class Bench:
    """One clip: its plate, a fitter, the true poses."""

    def __init__(self, case: Case) -> None:
        work = Work(case, ())
        subject = open_subject(case, frames=work.frames, fps=24)
        assert subject.rig is not None
        filmed = film_shot(subject.character, subject.vertices, size=work.size, seed=work.plate_seed, hard=None)
        self.camera, self.truth, self.diagonal = filmed.camera, filmed.vertices, subject.character.diagonal
        clip = filmed.plate.clip
        observations, _ = observe(subject.character, self.camera, clip, ClassicalSettings())
        self.fitter = Fitter(subject.character, subject.rig, self.camera, clip, observations, LiftSettings())
        rest = np.asarray(subject.character.vertices, np.float64)
        self.poses = true_poses(subject.rig, rest, self.truth, self.diagonal)
        self.shares = vertex_areas(subject.character)  # of the surface around each vertex

    def errors(self, index: int, pose: Pose) -> tuple[float, float]:
        """In-plane and 3D error of a pose, percent of the diagonal, weighted by area."""
        vertices, true = self.fitter.vertices_of(pose), self.truth[index].astype(np.float64)
        camera = self.camera.at([index])
        pixels, depth = project(camera, np.stack([vertices, true]))
        plane = np.linalg.norm(pixels[0] - pixels[1], axis=-1) * depth[1] / camera.focal[0]
        space = np.linalg.norm(vertices - true, axis=-1)
        return tuple(100.0 * float(value @ self.shares) / self.diagonal for value in (plane, space))  # type: ignore

    def lost(self) -> list[int]:
        """Frames that one step from the truth loses."""
        found = []
        for index in range(1, len(self.poses)):
            self.fitter.recovery.searches = 0
            pose, _ = self.fitter.following(index, self.poses[index - 1], self.poses[max(index - 2, 0)], 1.0)
            worse = self.fitter.explained(index, pose) > LOST * self.fitter.explained(index, self.poses[index])
            if worse and self.errors(index, pose)[0] > ERRS:
                found.append(index)
        return found

    def strays(self, rounds: list[Round]) -> tuple[float, float]:
        """Where rounds lead from the truth, medians over the frames."""
        fitter, ends = self.fitter, []
        for index in range(7, len(self.poses)):
            pose = self.poses[index]
            for how in rounds:
                pose = fitter.stepped(index, pose, self.poses[index], self.poses[index], how)
            ends.append(self.errors(index, pose))
        return tuple(np.median(ends, axis=0))  # type: ignore


def row(case: Case) -> str:
    bench = Bench(case)
    fitter, count = bench.fitter, len(bench.poses)
    truth = [fitter.explained(index, pose) for index, pose in enumerate(bench.poses)][1:]
    start = time.perf_counter()
    fitter.search.data(count // 2, bench.poses * 4)
    speed = 1e3 * (time.perf_counter() - start) / (4 * count)
    colour = [Round(reach=4.0, flow=0.0, contour=0.0, track=0.0, colour=1.0, blur=b) for b in (2.0, 1.5, 1.0) * 2]
    flow = [Round(reach=4.0, track=0.0)] * 6
    aligned, flowed, lost = bench.strays(colour), bench.strays(flow), bench.lost()
    return (
        f"{case.path.stem[:28]:28s} {case.clip[-14:]:14s} {len(lost):2d} of {count - 1}  "
        f"{aligned[0]:4.2f} / {aligned[1]:4.2f}  {flowed[0]:4.2f} / {flowed[1]:4.2f}  "
        f"{np.median(truth):4.2f} / {max(truth):4.2f}  {speed:5.2f}  {lost}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with rigs/")
    parser.add_argument("--characters", nargs="*", metavar="GLB[:CLIP]", help="others than the eight fast ones")
    args = parser.parse_args()
    fix_threads()
    given = args.characters or [str(args.data / "rigs" / name) for name in FAST]
    print(f"{'character':28s} {'clip':14s} lost      strays       flow         truth        ms/pose  lost frames")
    for case in (case for text in given for case in parse_case(text)):
        print(row(case), flush=True)


if __name__ == "__main__":
    main()
