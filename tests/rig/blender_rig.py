"""Run by Blender's own Python (``bpy``): opens a rigged file, moves a joint if asked, saves it again.

python blender_rig.py IN OUT REPORT.json '{"joint": "tail_01", "by": [0.0, 0.1, 0.0], "shuffle": false}'

``by`` is in the file's units in Blender's world (Z up). The report holds what Blender sees before it changes anything.
"""

import json
import random
import sys
from pathlib import Path

import bpy  # isort: skip  (it brings the other two)
import bmesh
from mathutils import Vector

source, target, report, wanted = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
bpy.ops.wm.read_factory_settings(use_empty=True)
if source.suffix == ".glb":
    bpy.ops.import_scene.gltf(filepath=str(source))
else:
    bpy.ops.wm.usd_import(filepath=str(source))
(armature,) = [item for item in bpy.context.scene.objects if item.type == "ARMATURE"]
bodies = [item for item in bpy.context.scene.objects if item.type == "MESH" and item.find_armature() is armature]
seen = {
    "blender": bpy.app.version_string,
    "bones": {
        bone.name: {
            "parent": bone.parent.name if bone.parent else None,
            "head": list(armature.matrix_world @ bone.head_local),
            "along": list((armature.matrix_world.to_3x3() @ (bone.tail_local - bone.head_local)).normalized()),
            "axes": [list(row) for row in (armature.matrix_world @ bone.matrix_local).to_3x3().normalized()],
        }
        for bone in armature.data.bones
    },
    "vertices": sum(len(body.data.vertices) for body in bodies),
    "influences": max(sum(g.weight > 0 for g in v.groups) for body in bodies for v in body.data.vertices),
    "pictures": sorted(image.name for image in bpy.data.images if image.size[0]),
}
report.write_text(json.dumps(seen, indent=1))

if wanted.get("joint"):
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bone = armature.data.edit_bones[wanted["joint"]]
    shift = armature.matrix_world.inverted().to_3x3() @ Vector(wanted["by"])
    bone.head += shift
    bone.tail += shift
    bpy.ops.object.mode_set(mode="OBJECT")
if wanted.get("shuffle"):
    for body in bodies:
        mesh = bmesh.new()
        mesh.from_mesh(body.data)
        order = list(range(len(mesh.verts)))
        random.Random(3).shuffle(order)
        for vertex, index in zip(mesh.verts, order, strict=True):
            vertex.index = index
        mesh.verts.sort()
        mesh.faces.sort(key=lambda face: -face.calc_center_median().x)
        mesh.to_mesh(body.data)
        mesh.free()
if target.suffix == ".glb":
    bpy.ops.export_scene.gltf(filepath=str(target), export_format="GLB", export_all_influences=True)
else:
    bpy.ops.wm.usd_export(filepath=str(target), export_armatures=True, only_deform_bones=False)
