"""What was found out about a store at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from studio_pipeline.store.manifest import Artifact

__all__ = ["Moment"]

MOST = 512  # artifacts that are kept: what many shots share is asked for again and again, the rest once


@dataclass
class Moment:
    """What was found out about a store and the files that shots name at one moment, so that it is found out once."""

    artifacts: dict[tuple[str, bool], Artifact] = field(default_factory=dict)  # by key and thoroughness
    files: dict[Path, str] = field(default_factory=dict)  # digests, by path

    def remember(self, artifact: Artifact, *, thorough: bool) -> None:
        """Keep an artifact that is sound; of thousands the last few hundred, for manifests are large."""
        self.artifacts[artifact.key, thorough] = artifact
        while len(self.artifacts) > MOST:
            self.artifacts.pop(next(iter(self.artifacts)))
