"""An elastic body on a device: rest shape, material and attachments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

from studio_pipeline.physics.kernels import kernels
from studio_pipeline.physics.topology import Topology

__all__ = ["Body", "Material", "lame"]


@dataclass(frozen=True, kw_only=True)
class Material:
    """Elastic constants of a body."""

    youngs_modulus: float | np.ndarray = 1e5  # [Pa], or [E] per tetrahedron
    poisson: float = 0.4
    density: float = 1000.0  # [kg/m^3]
    damping: float = 0.0  # [s], viscosity = damping * Young's modulus


def lame(youngs_modulus: np.ndarray, poisson: float) -> tuple[np.ndarray, np.ndarray]:
    """Lame's constants mu and lambda [Pa]."""
    mu = youngs_modulus / (2.0 * (1.0 + poisson))
    return mu, youngs_modulus * poisson / ((1.0 + poisson) * (1.0 - 2.0 * poisson))


class Body:
    """Device arrays of one body; the mass is lumped to the vertices.

    Args:
        topology: Rest mesh.
        material: Elastic constants.
        attachment: Stiffness [N/m] of the spring to each vertex's target, 0 where there is none. [P]
        contact: Stiffness [N/m] of the ground against each vertex. [P]
        precision: "float32" or "float64".
        device: Warp device.
    """

    def __init__(
        self,
        topology: Topology,
        material: Material,
        *,
        attachment: np.ndarray,
        contact: np.ndarray | None = None,
        precision: str = "float32",
        device: str = "cpu",
    ) -> None:
        self.kernels = k = kernels(precision)
        self.precision, self.device, self.topology = precision, wp.get_device(device), topology
        self.dtype = np.dtype(precision)
        self.youngs_modulus = np.broadcast_to(np.asarray(material.youngs_modulus, float), (len(topology.tets),)).copy()
        mu, lam = lame(self.youngs_modulus, material.poisson)
        self.mass_np = topology.vertex_volumes() * material.density
        self.energy_scale = float((mu * topology.volumes).sum())
        self.tets = wp.array(topology.tets, dtype=wp.vec4i, device=self.device)
        self.slots = wp.array(topology.slots, dtype=wp.int32, device=self.device)
        self.rest_inverse = self.upload(topology.rest_inverse, k.mat33)  # of the shapes without stress just now
        self._unposed = self.upload(topology.rest_inverse, k.mat33)
        self.volume = self.upload(topology.volumes, k.real)
        self.mu, self.lam = self.upload(mu, k.real), self.upload(lam, k.real)
        self.viscosity = self.upload(material.damping * self.youngs_modulus, k.real)
        self.mass = self.upload(self.mass_np, k.real)
        self.attachment = self.upload(attachment, k.real)
        self.contact = self.upload(np.zeros_like(self.mass_np) if contact is None else contact, k.real)
        identity = np.zeros((len(topology.tets), 4))
        identity[:, 3] = 1.0
        self.rotation = self.upload(identity, k.quat)
        self._ratio = wp.zeros(len(topology.tets), dtype=k.real, device=self.device)

    def upload(self, values: np.ndarray, dtype: object) -> wp.array:
        """``values`` on the device in the body's precision."""
        return wp.array(np.ascontiguousarray(values, dtype=self.dtype), dtype=dtype, device=self.device)

    def volume_ratios(self, x: wp.array) -> np.ndarray:
        """J = det F of every tetrahedron at positions ``x``. [E]"""
        wp.launch(
            self.kernels.volume_ratio,
            dim=len(self.topology.tets),
            inputs=[x, self.tets, self.rest_inverse, self._ratio],
            device=self.device,
        )
        return self._ratio.numpy().astype(np.float64)

    def pose_rest(self, target: wp.array, share: float) -> None:
        """Let the shapes that are free of stress take on a ``share`` of the stretch that ``target`` [P] shows.

        A tetrahedron that a target stretches beyond `kernels.SLIMMEST` or squeezes below `kernels.LEAST_VOLUME` follows
        less, and not at all in volume below `kernels.LOST_VOLUME`.
        """
        wp.launch(
            self.kernels.posed_rest,
            dim=len(self.topology.tets),
            inputs=[target, self.tets, self._unposed, self.kernels.real(share), self.rest_inverse],
            device=self.device,
        )
