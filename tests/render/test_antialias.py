"""Edges inside the silhouette: against supersampled pictures, closed forms and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from studio_pipeline.render import runtime
from studio_pipeline.render.differentiable import Lambert, RenderMesh, render

FRONT, BACK = (0.9, 0.2, 0.1), (0.1, 0.5, 0.8)


def disc(sides):
    angle = np.arange(sides) * 2 * np.pi / sides
    points = np.concatenate([[[0.0, 0, 0]], np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)])
    rim = np.arange(sides)
    return points, np.stack([0 * rim, rim + 1, (rim + 1) % sides + 1], 1)


def quad():
    return np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]])


def ball():
    mesh = trimesh.creation.icosphere(3, 1.0)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


SHAPES = {"disc": disc(48), "quad": quad(), "ball": ball()}


@pytest.fixture(scope="module")
def scene(make_character):
    """A shape before a wall that fills the picture: the mesh, and its vertices for any place and turn of the shape."""

    def build(name, size=0.42):
        points, faces = SHAPES[name]
        wall, wall_faces = quad()
        count = len(points)
        colours = np.concatenate([np.tile(FRONT, (count, 1)), np.tile(BACK, (4, 1))])

        def place(shift=(0.0, 0.0), turn=0.0):
            turned = points @ np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
            front = turned * size + [*shift, 0.0]
            return np.concatenate([front, wall * 9.0 - [0, 0, 1.5]]).astype(np.float32)

        character = make_character(place(), np.concatenate([faces, wall_faces + count]), vertex_colors=colours)
        return RenderMesh.from_character(character), place, count

    return build


def supersampled(mesh, vertices, camera, samples=16, **options):
    large = camera.resized(camera.width * samples, camera.height * samples)
    color = render(torch.from_numpy(vertices)[None], mesh, large, sigma=0.01, inner_edges=False, **options).color[0]
    return color.reshape(camera.height, samples, camera.width, samples, 3).mean((1, 3))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("turn", [0.0, 0.35, np.pi / 4])
def test_blended_edges_are_the_supersampled_ones(scene, make_camera, name, turn):
    mesh, place, _ = scene(name)
    camera = make_camera((0, 0, 4.0), focal=90.0, width=40, height=40)
    vertices = place((0.013, -0.021), turn)
    truth = supersampled(mesh, vertices, camera)
    soft = render(torch.from_numpy(vertices)[None], mesh, camera).color[0]
    hard = render(torch.from_numpy(vertices)[None], mesh, camera, inner_edges=False).color[0]
    edge = (truth - torch.tensor(FRONT)).abs().sum(-1).minimum((truth - torch.tensor(BACK)).abs().sum(-1)) > 0.02
    assert edge.sum() > 40
    contrast = np.abs(np.subtract(FRONT, BACK)).sum()
    error, before = ((value - truth).abs().sum(-1)[edge].mean() / contrast for value in (soft, hard))
    assert error < 0.06 and error < 0.37 * before
    assert (soft - hard).abs()[~edge].max() < 0.25  # beside the edge nothing is blended but its very ends
    assert float((soft - truth).sum().abs()) < 0.03 * contrast * int(edge.sum())


def test_an_upright_edge_covers_its_pixels_exactly(scene, make_camera):
    """The quad's sides are at known places between pixels: each pixel's share of it is a product of two lengths."""
    mesh, place, _ = scene("quad")
    camera = make_camera((0, 0, 4.0), focal=80.0, width=40, height=40)
    for shift in ((0.0, 0.0), (0.0171, 0.0093), (-0.022, 0.0391)):
        color = render(torch.from_numpy(place(shift))[None], mesh, camera).color[0].numpy()
        pixels = np.arange(40)
        x, y = (
            np.clip(np.minimum(pixels + 1, middle + 8.4) - np.maximum(pixels, middle - 8.4), 0, 1)
            for middle in (20 + 20 * shift[0], 20 - 20 * shift[1])
        )
        share = y[:, None] * x[None, :]
        error = np.abs(color - (share[..., None] * FRONT + (1 - share[..., None]) * BACK))
        # At a corner whose pixel's centre is missed, a neighbour's own colour stands for its blended one.
        corner = (share > 0) & (y[:, None] < 1) & (x[None, :] < 1) & ((y[:, None] < 0.5) | (x[None, :] < 0.5))
        assert error[~corner].max() < 1e-4 and corner.sum() <= 4 and error[corner].max() < 0.25


def walked(loss, place, ends, steps=33):
    """The integral of the gradient along a straight walk of the vertices, and the difference of the loss."""
    total = 0.0
    marks = np.linspace(ends[0], ends[1], steps)
    along = torch.from_numpy((place(ends[1]) - place(ends[0])) / (ends[1] - ends[0]))
    for mark, part in zip(marks, np.r_[0.5, np.ones(steps - 2), 0.5], strict=True):
        vertices = torch.from_numpy(place(mark))[None].requires_grad_()
        (gradient,) = torch.autograd.grad(loss(vertices), vertices)
        total += part * float((gradient[0] * along).sum()) * (marks[1] - marks[0])
    before, after = (float(loss(torch.from_numpy(place(end))[None])) for end in ends)
    return total, after - before


@pytest.mark.parametrize("name", SHAPES)
def test_moving_a_shape_changes_a_loss_as_its_gradient_says(scene, make_camera, name):
    """Over steps of a pixel or more: between pixel centres the loss is smooth, at them it may jump a little."""
    mesh, place, _ = scene(name)
    camera = make_camera((0, 0, 4.0), focal=90.0, width=40, height=40)
    target = supersampled(mesh, place((0.06, -0.04), 0.3), camera)

    def loss(vertices):
        return (render(vertices, mesh, camera).color[0] - target).abs().double().sum()

    for way in ((1.0, 0.0), (0.0, -1.0), (0.8, 0.6)):
        ours, theirs = walked(loss, lambda s, way=way: place((s * way[0], s * way[1]), 0.3), (-0.07, 0.02))
        assert ours == pytest.approx(theirs, rel=0.05)


def test_gradient_of_a_small_step_is_the_difference(scene, make_camera):
    """Where no pixel centre is passed: the sides of an upright box, with texture of its own behind."""
    mesh, place, _ = scene("quad")
    camera = make_camera((0, 0, 4.0), focal=80.0, width=40, height=40)
    weight = torch.rand(40, 40, 3, generator=torch.Generator().manual_seed(0))
    for way in ((1.0, 0.0), (0.0, 1.0), (0.6, 0.8)):
        for at in (0.001, 0.0035, 0.012, 0.017):

            def loss(s, way=way):
                return (
                    (render(torch.from_numpy(place((s * way[0], s * way[1])))[None], mesh, camera).color * weight)
                    .double()
                    .sum()
                )

            vertices = torch.from_numpy(place((at * way[0], at * way[1])))[None].requires_grad_()
            (gradient,) = torch.autograd.grad((render(vertices, mesh, camera).color * weight).sum(), vertices)
            ours = float(gradient[0, :4, 0].sum() * way[0] + gradient[0, :4, 1].sum() * way[1])
            theirs = float(loss(at + 5e-4) - loss(at - 5e-4)) / 1e-3
            assert ours == pytest.approx(theirs, rel=0.01, abs=0.05)


def test_total_gradient_is_the_edges_length_times_the_contrast(scene, make_camera):
    """Closed form: growing a disc by dr adds 2 pi r dr of its colour; moving it adds nothing."""
    mesh, place, count = scene("disc")
    camera = make_camera((0, 0, 4.0), focal=90.0, width=48, height=48)
    found = []
    for shift in np.random.default_rng(0).uniform(-0.03, 0.03, (12, 2)):
        vertices = torch.from_numpy(place(shift))[None].requires_grad_()
        color = render(vertices, mesh, camera).color
        (gradient,) = torch.autograd.grad(color[..., 0].sum(), vertices)
        centred = vertices.detach()[0, :count] - torch.tensor([*shift, 0.0], dtype=torch.float32)
        grow = float((gradient[0, :count] * centred / 0.42).sum())
        found.append([grow, float(gradient[0, :count, 0].sum()), float(gradient[0, :count, 1].sum())])
    scale = 90.0 / 4.0
    # A polygon of n sides has the area n / 2 sin(2 pi / n) r^2.
    expected = (FRONT[0] - BACK[0]) * 48 * np.sin(2 * np.pi / 48) * 0.42 * scale**2
    assert np.mean(found, axis=0)[0] == pytest.approx(expected, rel=0.02)
    assert (np.abs(np.array(found)[:, 0] / expected - 1) < 0.08).all()
    assert np.abs(np.mean(found, axis=0)[1:]).max() < 0.02 * expected


def test_a_picture_pulls_a_shape_to_its_place_before_a_wall(scene, make_camera):
    """Nothing but inner edges shows where the disc is; without them there is nothing to follow."""
    mesh, place, count = scene("disc")
    camera = make_camera((0, 0, 4.0), focal=90.0, width=48, height=48)
    goal = supersampled(mesh, place((0.12, -0.08)), camera)
    rest = torch.from_numpy(place())[None]
    moving = torch.zeros(1, len(rest[0]), 1)
    moving[:, :count] = 1.0
    shift = torch.zeros(3, requires_grad=True)
    hard = render(rest + shift * moving, mesh, camera, inner_edges=False).color[0]
    (nothing,) = torch.autograd.grad((hard - goal).square().sum(), shift)
    assert nothing.abs().max() < 1e-3
    for step in range(40):
        loss = (render(rest + shift * moving, mesh, camera).color[0] - goal).square().sum()
        (gradient,) = torch.autograd.grad(loss, shift)
        shift.data[:2] -= 0.02 * 0.9**step * gradient[:2] / gradient[:2].norm()
    assert (shift.detach()[:2] - torch.tensor([0.12, -0.08])).abs().max() < 4e-3


def test_only_colour_knows_inner_edges(scene, make_camera):
    mesh, place, _ = scene("ball")
    camera = make_camera((0, 0, 4.0), focal=90.0, width=40, height=40)
    vertices = torch.from_numpy(place())[None]
    soft, hard = (render(vertices, mesh, camera, inner_edges=wanted) for wanted in (True, False))
    for name in ("silhouette", "depth", "normals", "face_ids", "barycentrics"):
        assert torch.equal(getattr(soft, name), getattr(hard, name))
    assert not torch.equal(soft.color, hard.color)


def test_a_whole_ball_has_no_inner_edges(sphere, make_camera):
    """Its only edge is the outline; neither seams nor faces smaller than a pixel make others."""
    mesh, camera = RenderMesh.from_character(sphere), make_camera((0, 0, 2.0), width=32, height=32, focal=40.0)
    vertices = torch.from_numpy(sphere.vertices)[None]
    light = Lambert(direction=(0.2, 0.4, 1.0))
    soft, hard = (render(vertices, mesh, camera, shading=light, inner_edges=wanted) for wanted in (True, False))
    assert torch.equal(soft.color, hard.color)


def limbs():
    """Three capsules crossing before a wall: vertices, faces, colours, and which part each vertex is of."""
    parts = []
    for turn, shift in ((0.4, (0.0, 0.0, 0.3)), (-0.7, (0.05, 0.02, 0.0)), (1.5, (0.0, 0.1, -0.3))):
        mesh = trimesh.creation.capsule(0.9, 0.13, count=[24, 24])
        mesh.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
        mesh.apply_translation(-mesh.bounds.mean(0))
        mesh.apply_transform(trimesh.transformations.rotation_matrix(turn, [0, 0, 1]))
        mesh.apply_translation(shift)
        parts.append(mesh)
    wall, faces = quad()
    parts.append(trimesh.Trimesh(wall * 9 - [0, 0, 1.5], faces, process=False))
    whole = trimesh.util.concatenate(parts)
    owner = np.repeat(np.arange(4), [len(part.vertices) for part in parts])
    tints = np.array([[0.9, 0.3, 0.2], [0.2, 0.8, 0.3], [0.3, 0.4, 0.9], [0.5, 0.5, 0.5]])[owner]
    return whole.vertices, whole.faces, tints, owner


@pytest.mark.parametrize("shading", ["none", "harmonics"])
def test_gradients_of_crossing_limbs(make_character, make_camera, shading):
    """Round parts whose outlines are made of many small edges, hiding each other: moved and turned, part by part."""
    points, faces, tints, owner = limbs()
    character = make_character(points, faces, vertex_colors=tints)
    mesh, camera = RenderMesh.from_character(character), make_camera((0.1, 0.1, 3.0), focal=110.0, width=64, height=64)
    light = None
    if shading == "harmonics":
        light = torch.from_numpy(np.random.default_rng(1).normal(size=(9, 3)) * 0.15).float()
        light[0] = 2.5
    y, x = np.mgrid[:64, :64]
    weight = torch.from_numpy(np.sin(x / 5.0) * np.cos(y / 6.0 + 0.3)).float()[..., None] * torch.tensor([1, -0.5, 0.7])

    def loss(value, inner=True):
        return (render(value, mesh, camera, shading=light, inner_edges=inner).color * weight).double().sum()

    ours, theirs, blind = [], [], []
    for part in range(3):
        for velocity in (
            points * 0 + [1, 0, 0],
            points * 0 + [0, 1, 0],
            np.stack([-points[:, 1], points[:, 0], 0 * points[:, 0]], -1),
        ):
            move = np.where((owner == part)[:, None], velocity, 0.0)

            def place(s, move=move):
                return (points + s * move).astype(np.float32)

            found = walked(loss, place, (-0.04, 0.04), 17)
            ours.append(found[0])
            theirs.append(found[1])
            blind.append(walked(lambda value: loss(value, inner=False), place, (-0.04, 0.04), 17)[0])
    ours, theirs, blind = np.array(ours), np.array(theirs), np.array(blind)
    assert np.linalg.norm(ours - theirs) < 0.1 * np.linalg.norm(theirs)
    assert np.linalg.norm(blind - theirs) > 0.5 * np.linalg.norm(theirs)


def test_the_order_of_faces_does_not_matter(make_character, make_camera):
    points, faces, tints, _ = limbs()
    camera = make_camera((0.1, 0.1, 3.0), focal=110.0, width=64, height=64)
    results = []
    for seed in (None, 0, 1):
        order = np.arange(len(faces)) if seed is None else np.random.default_rng(seed).permutation(len(faces))
        character = make_character(points, faces[order], vertex_colors=tints)
        vertices = torch.from_numpy(character.vertices)[None].requires_grad_()
        color = render(vertices, RenderMesh.from_character(character), camera).color
        color.square().sum().backward()
        assert vertices.grad is not None
        results.append((color.detach(), vertices.grad))
    for color, gradient in results[1:]:
        assert (color - results[0][0]).abs().max() < 1e-5
        assert (gradient - results[0][1]).abs().max() < 1e-3 * results[0][1].abs().max()


def test_threads_change_no_bit_of_inner_edges(scene, make_camera, monkeypatch):
    mesh, place, _ = scene("ball")
    camera = make_camera((0, 0, 4.0), focal=90.0, width=40, height=40)
    start = torch.from_numpy(np.stack([place((0.01 * k, 0.02 * k)) for k in range(5)]))
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(runtime, "FRAME_THREADS", threads)
        vertices = start.clone().requires_grad_()
        color = render(vertices, mesh, camera).color
        color.square().sum().backward()
        assert vertices.grad is not None
        results.append((color.detach().numpy().tobytes(), vertices.grad.numpy().tobytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("name", ["RobotExpressive.glb", "quaternius_enemy_Frog.glb", "godot_platformer_player.glb"])
def test_inner_edges_of_real_characters_are_the_supersampled_ones(shared_data, name):
    """Limbs before bodies, parts stuck into parts, seams: where colour was blended, it came nearer to the truth."""
    import cv2

    from studio_pipeline.geometry.cameras import frame_points
    from studio_pipeline.stages.character.load import load_character

    character = load_character(shared_data / "rigs" / name).character
    camera = frame_points(character.vertices, width=128, height=128)
    mesh, light = RenderMesh.from_character(character), Lambert(direction=(0.3, 0.5, 1.0))
    truth = supersampled(mesh, character.vertices, camera, samples=8, shading=light).numpy()
    vertices = torch.from_numpy(character.vertices)[None]
    soft, hard = (render(vertices, mesh, camera, shading=light, inner_edges=wanted) for wanted in (True, False))
    inside = cv2.erode((soft.silhouette[0].numpy() == 1).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    changed = ((soft.color != hard.color)[0].any(-1)).numpy() & inside
    after, before = (np.abs(value.color[0].numpy() - truth).sum(-1)[changed] for value in (soft, hard))
    assert changed.sum() > 25 and after.sum() < 0.5 * before.sum()
    assert (after > before + 0.05).mean() < 0.04
