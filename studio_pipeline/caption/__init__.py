"""AniCaption: production directives read from pixels.

`describe` looks at any clip and says, field by field of the taxonomy, what it sees, how sure it is, and what it can't
tell. Every idea has a file: how a thing is measured, what it is called, when to keep silent. Classical vision; a
network (`models.caption`) may be given to read what no measure reads and is asked for its opinion on the rest.
"""

from studio_pipeline.caption.describe import describe

__all__ = ["describe"]
