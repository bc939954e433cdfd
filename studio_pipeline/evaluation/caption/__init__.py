"""Measuring the captioner: on clips whose tags are known, and on real ones for a person to judge."""

from studio_pipeline.evaluation.caption.trials import WAYS, Film, Work, evaluate

__all__ = ["WAYS", "Film", "Work", "evaluate"]
