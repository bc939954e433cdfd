"""Pictures decoded behind limits that are checked on the header."""

from __future__ import annotations

import io

import numpy as np

from studio_pipeline.media.srgb import linear_to_srgb, srgb_to_linear
from studio_pipeline.schema.errors import InputError
from studio_pipeline.stages.character.model import Material, Texture

__all__ = ["TextureCache", "swatch"]

MAX_SIDE = 8192
MAX_PIXELS = 256_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TGA", "TIFF")


class TextureCache:
    """Decodes each picture once and keeps count of the pixels."""

    def __init__(self) -> None:
        self._pictures: dict[bytes, np.ndarray] = {}
        self._pixels = 0

    def decode(self, texture: Texture) -> np.ndarray:
        """The picture as RGBA. [h, w, 4] uint8, sRGB

        Raises:
            InputError: It is no picture, is broken, or is larger than the limits.
        """
        if texture.data not in self._pictures:
            self._pictures[texture.data] = self._decode(texture)
        return self._pictures[texture.data]

    def _decode(self, texture: Texture) -> np.ndarray:
        from PIL import Image

        try:
            with Image.open(io.BytesIO(texture.data), formats=_FORMATS) as image:
                width, height = image.size
                self._pixels += width * height
                if max(width, height) > MAX_SIDE or self._pixels > MAX_PIXELS:
                    raise InputError(
                        f"is a picture of {width} x {height}; at most {MAX_SIDE} a side and {MAX_PIXELS} pixels in all",
                        where=texture.label,
                        do="shrink the textures",
                    )
                if image.mode.startswith("I"):
                    grey = np.clip(np.rint(np.asarray(image, dtype=np.float64) / 257.0), 0, 255).astype(np.uint8)
                    return np.dstack([grey, grey, grey, np.full_like(grey, 255)])
                return np.asarray(image.convert("RGBA"))
        except InputError:
            raise
        except Exception as error:  # a decoder may raise anything on hostile bytes
            raise InputError(
                f"is no readable picture ({type(error).__name__}: {error})", where=texture.label, do="export it again"
            ) from error

    def colored(self, material: Material) -> np.ndarray:
        """The material's texture times its colour, alpha as its mode says. [h, w, 4] uint8"""
        assert material.texture is not None
        pixels = self.decode(material.texture)
        factor = np.array(material.color[:3])
        if (factor < 1.0).any():
            ramp = srgb_to_linear(np.arange(256) / 255.0, np.float64)
            table = np.rint(255.0 * linear_to_srgb(ramp[:, None] * factor, np.float64)).astype(np.uint8)
            pixels = np.dstack([*(table[pixels[..., c], c] for c in range(3)), pixels[..., 3]])
        if material.alpha_mode == "OPAQUE":
            pixels = np.dstack([pixels[..., :3], np.full(pixels.shape[:2], 255, np.uint8)])
        elif material.color[3] < 1.0 or material.alpha_mode == "MASK":
            alpha = pixels[..., 3] / 255.0 * material.color[3]
            alpha = (alpha >= material.alpha_cutoff) if material.alpha_mode == "MASK" else alpha
            pixels = np.dstack([pixels[..., :3], np.rint(alpha * 255.0).astype(np.uint8)])
        return pixels


def swatch(material: Material) -> tuple[int, int, int, int]:
    """The material's flat colour, sRGB 8-bit and alpha."""
    alpha = material.color[3]
    if material.alpha_mode == "OPAQUE":
        alpha = 1.0
    elif material.alpha_mode == "MASK":
        alpha = float(alpha >= material.alpha_cutoff)
    red, green, blue = np.rint(255.0 * linear_to_srgb(np.array(material.color[:3]), np.float64)).astype(int)
    return int(red), int(green), int(blue), round(255 * alpha)
