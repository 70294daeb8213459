"""One weighted, regularised Gauss-Newton step of the face parameters."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf.ops.shape import N_RIGID, jacobian
from jaxclnf.types import PDM, FaceParams


def normal_equations(
    pdm: PDM,
    params: FaceParams,
    shifts: Float[Array, "n_points 2"],
    weights: Float[Array, " n_points"],
    reg_factor: Float[Array, "*n_modes"],
) -> tuple[Float[Array, "n_params n_params"], Float[Array, " n_params"]]:
    """Left and right side of ``(J'WJ + reg/E) d = J'W shifts - (reg/E) q``.

    ``shifts`` are image pixels; a landmark of weight 0 has no say. E are the PDM's eigenvalues and q
    the local parameters; the rigid parameters are not regularised. Source: OpenFace's `NU_RLMS`;
    Saragih et al. 2011, equation 25; Baltrušaitis et al. 2013, equation 9.
    """
    jac = jacobian(pdm, params)
    weighted = jac * weights[:, None, None]
    stiffness = jnp.concatenate([jnp.zeros(N_RIGID, jac.dtype), reg_factor / pdm.eigenvalues])
    hessian = jnp.einsum("nki,nkj->ij", weighted, jac) + jnp.diag(stiffness)
    prior = stiffness[N_RIGID:] * params.shape
    gradient = jnp.einsum("nki,nk->i", weighted, shifts).at[N_RIGID:].add(-prior)
    return hessian, gradient


def step(hessian: Float[Array, "k k"], gradient: Float[Array, " k"]) -> Float[Array, " k"]:
    """Solution of the symmetric positive definite normal equations."""
    factor = jax.scipy.linalg.cho_factor(hessian, lower=True)
    return jax.scipy.linalg.cho_solve(factor, gradient)
