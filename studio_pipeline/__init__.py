"""studio_pipeline: a shot list in, editable and physically plausible animation out."""

__version__ = "0.1.0"
