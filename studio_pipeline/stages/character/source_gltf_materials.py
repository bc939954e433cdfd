"""Materials of a glTF file -> `Material`: base colour only, as the look needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio_pipeline.geometry.gltf import Document
from studio_pipeline.geometry.gltf.files import MissingFileError
from studio_pipeline.geometry.gltf.json_view import JsonObject
from studio_pipeline.stages.character.model import Material, Texture

__all__ = ["MaterialReader", "TexturedMaterial"]

_WRAPS = {10497: "repeat", 33648: "mirror", 33071: "clamp"}


@dataclass(frozen=True)
class TexturedMaterial:
    """A material with how its texture is looked up (KHR_texture_transform)."""

    material: Material
    texcoord: int = 0
    offset: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)

    @property
    def texture(self) -> Texture | None:
        """The base colour picture."""
        return self.material.texture

    def transform_uv(self, uv: np.ndarray) -> np.ndarray:
        """UV of the file [n, 2] -> UV of the picture."""
        cosine, sine = np.cos(self.rotation), np.sin(self.rotation)
        u, v = uv[:, 0] * self.scale[0], uv[:, 1] * self.scale[1]
        return np.stack([cosine * u + sine * v, cosine * v - sine * u], axis=1) + self.offset


class MaterialReader:
    """Reads each material once."""

    def __init__(self, document: Document, warnings: list[str]) -> None:
        self.document, self.warnings = document, warnings
        self._known: dict[int | None, TexturedMaterial] = {None: TexturedMaterial(Material(name="default"))}

    def read(self, index: int | None) -> TexturedMaterial:
        """The material at ``index``; glTF's white default for None."""
        if index is not None and index not in self._known:
            self._known[index] = self._read(self.document.list("materials")[index])
        return self._known[index]

    def _read(self, item: JsonObject) -> TexturedMaterial:
        extensions = item.object("extensions")
        pbr = item.object("pbrMetallicRoughness")
        color, reference = pbr.numbers("baseColorFactor", 4, (1.0, 1.0, 1.0, 1.0)), pbr.object("baseColorTexture")
        if "KHR_materials_pbrSpecularGlossiness" in extensions:
            old = extensions.object("KHR_materials_pbrSpecularGlossiness")
            color, reference = old.numbers("diffuseFactor", 4, (1.0, 1.0, 1.0, 1.0)), old.object("diffuseTexture")
        emissive = item.numbers("emissiveFactor", 3, (0.0, 0.0, 0.0))
        if max(color[:3]) <= 0.0 < max(emissive):
            # A material that only glows has no base colour; what one sees is its light.
            color, reference = [*emissive, color[3]], item.object("emissiveTexture")
        mode = item.text("alphaMode", "OPAQUE")
        material = Material(
            name=item.text("name", ""),
            color=tuple(float(np.clip(c, 0.0, 1.0)) for c in color),  # type: ignore[arg-type]
            texture=self._texture(reference) if "index" in reference else None,
            alpha_mode=mode if mode in ("OPAQUE", "MASK", "BLEND") else "OPAQUE",
            alpha_cutoff=item.number("alphaCutoff", 0.5),
            double_sided=item.flag("doubleSided"),
        )
        change = reference.object("extensions").object("KHR_texture_transform")
        offset, scale = change.numbers("offset", 2, (0.0, 0.0)), change.numbers("scale", 2, (1.0, 1.0))
        return TexturedMaterial(
            material,
            texcoord=change.integer("texCoord", reference.integer("texCoord", 0, high=7), high=7),
            offset=(offset[0], offset[1]),
            rotation=change.number("rotation", 0.0),
            scale=(scale[0], scale[1]),
        )

    def _texture(self, reference: JsonObject) -> Texture | None:
        document = self.document
        texture = document.list("textures")[reference.index("index", len(document.list("textures")))]
        images = document.list("images")
        source = texture.optional_index("source", len(images))
        if source is None:
            source = texture.object("extensions").object("EXT_texture_webp").optional_index("source", len(images))
        if source is None:
            raise texture.error("has no PNG, JPEG or WebP picture", do="export with PNG or JPEG textures")
        sampler_index = texture.optional_index("sampler", len(document.list("samplers")))
        wrap = ("repeat", "repeat")
        if sampler_index is not None:
            sampler = document.list("samplers")[sampler_index]
            wrap = tuple(_WRAPS.get(sampler.integer(key, 10497), "repeat") for key in ("wrapS", "wrapT"))
        try:
            data = document.image_bytes(source)
        except MissingFileError as error:
            self.warnings.append(f"{error.what}: shown without that texture")
            return None
        return Texture(data, images[source].where, wrap)  # type: ignore[arg-type]
