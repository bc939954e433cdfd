"""Run by Blender's own Python (``bpy``): opens a delivered file and writes what Blender sees as JSON.

python blender_check.py FILE RESULT.json '{"width": ..., "height": ..., "fps": "24", "index": 4, "first_frame": 1000}'
"""

import json
import sys
from fractions import Fraction
from pathlib import Path

import bpy
import numpy as np

file, result, wanted = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
fps = Fraction(wanted["fps"])
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
is_usd = file.suffix == ".usd"
# glTF has seconds only, and Blender's USD importer doesn't read the rate: an artist sets it before importing.
scene.render.fps = round(fps)
scene.render.fps_base = round(fps) / float(fps)
if is_usd:
    bpy.ops.wm.usd_import(filepath=str(file), set_frame_range=True)
else:
    bpy.ops.import_scene.gltf(filepath=str(file))

ranges = [tuple(action.frame_range) for action in bpy.data.actions]
first = scene.frame_start if is_usd else min((low for low, _ in ranges), default=0.0)
last = scene.frame_end if is_usd else max((high for _, high in ranges), default=0.0)

frame = wanted["first_frame"] + wanted["index"] if is_usd else round(first) + wanted["index"]
scene.frame_set(frame)
graph = bpy.context.evaluated_depsgraph_get()
meshes = [o for o in scene.objects if o.type == "MESH" and len(o.data.polygons) and not o.hide_render]
meshes = [o for o in meshes if o.name.startswith("Body")]
corners = []
for item in meshes:
    evaluated = item.evaluated_get(graph)
    mesh = evaluated.to_mesh()
    points = np.empty(3 * len(mesh.vertices), dtype=np.float32)
    mesh.vertices.foreach_get("co", points)
    matrix = np.array(evaluated.matrix_world)
    corners.append(points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    evaluated.to_mesh_clear()
points = np.concatenate(corners)

cameras = [o for o in scene.objects if o.type == "CAMERA"]
scene.camera = cameras[0]
scene.render.engine = "CYCLES"
scene.cycles.device = "CPU"
scene.cycles.samples = 4
scene.cycles.max_bounces = 0
scene.cycles.use_denoising = False
scene.render.threads_mode = "FIXED"
scene.render.threads = 2
scene.render.film_transparent = True
scene.render.resolution_x, scene.render.resolution_y = wanted["width"], wanted["height"]
scene.render.resolution_percentage = 100
scene.render.image_settings.file_format = "PNG"
scene.render.image_settings.color_mode = "RGBA"
scene.render.filepath = str(result.with_suffix(".png"))
bpy.ops.render.render(write_still=True)

result.write_text(
    json.dumps(
        {
            "blender": bpy.app.version_string,
            "meshes": [item.name for item in meshes],
            "all_objects": [[o.name, o.type] for o in scene.objects],
            "cameras": len(cameras),
            "vertices": len(points),
            "low": points.min(0).tolist(),
            "high": points.max(0).tolist(),
            "first": float(first),
            "last": float(last),
            "fps": scene.render.fps / scene.render.fps_base,
            "textures": [i.name for i in bpy.data.images if i.size[0] > 0],
        },
        indent=1,
    )
)
