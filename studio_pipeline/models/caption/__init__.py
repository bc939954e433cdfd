"""The captioner's network and what makes its opinions values: calibration, abstention, fusion with the measures."""

from studio_pipeline.models.caption.reader import CaptionReader, load_reader

__all__ = ["CaptionReader", "load_reader"]
