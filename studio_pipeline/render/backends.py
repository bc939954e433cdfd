"""Which differentiable renderer to use: Warp's or PyTorch3D's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from studio_pipeline.schema.errors import BackendUnavailable

if TYPE_CHECKING:
    from studio_pipeline.render.differentiable import RenderOutput

__all__ = ["renderer"]


def renderer(name: Literal["warp", "pytorch3d"]) -> Callable[..., RenderOutput]:
    """The function that renders: `differentiable.render`, or the one of `render.pytorch3d` with the same interface.

    Raises:
        BackendUnavailable: The package isn't installed, or doesn't load.
    """
    if name == "warp":
        from studio_pipeline.render.differentiable import render

        return render
    try:
        import pytorch3d.renderer  # noqa: F401
    except (ImportError, OSError) as error:
        raise BackendUnavailable(
            f"the renderer 'pytorch3d' needs the package pytorch3d, which doesn't load here ({error})",
            where="lifted_motion: {renderer: pytorch3d}",
            do="build it from source into this environment (its INSTALL.md; no wheels for this Python), "
            "or set lifted_motion: {renderer: warp}",
        ) from error
    from studio_pipeline.render.pytorch3d import render as second

    return second
