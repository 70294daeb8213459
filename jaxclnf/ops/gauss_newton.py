"""One weighted, regularised Gauss-Newton step of the face parameters.

The Jacobian's local columns are ``scale * R V`` with the constant basis V, so the normal equations do not
need the whole Jacobian: their local block is a sum of six constant products of V with itself, and the block
of pose and modes is one product with V.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxclnf import native
from jaxclnf.ops.rotation import euler_to_matrix
from jaxclnf.ops.shape import N_RIGID, rigid_jacobian
from jaxclnf.types import PDM, FaceParams

PANEL = 20
"""Number of unknowns that are eliminated before the equations are cut down to the rest."""

AXES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def basis_products(
    basis: Float[Array, "n_points 3 n_modes"], weights: Float[Array, " n_points"]
) -> Float[Array, "6 n_modes n_modes"]:
    """Sum ``V_a' V_b + V_b' V_a`` (halved for a = b) over landmarks by their weights, for `AXES` a, b."""
    n_points, _, n_modes = basis.shape
    basis = basis.reshape(n_points, -1)
    every = ((basis * weights[:, None]).T @ basis).reshape(3, n_modes, 3, n_modes)
    return jnp.stack([every[a, :, b] if a == b else every[a, :, b] + every[b, :, a] for a, b in AXES])


def normal_equations(
    pdm: PDM,
    params: FaceParams,
    shifts: Float[Array, "n_points 2"],
    weights: Float[Array, " n_points"],
    reg_factor: Float[Array, "*n_modes"],
    products: Float[Array, "6 n_modes n_modes"] | None = None,
) -> tuple[Float[Array, "n_params n_params"], Float[Array, " n_params"]]:
    """Build the left and right side of ``(J'WJ + reg/E) d = J'W shifts - (reg/E) q``.

    ``shifts`` are in image pixels; a landmark of weight 0 has no effect. E are the PDM's eigenvalues and q
    the local parameters; the rigid parameters are not regularised. ``products`` are those of
    `basis_products` for these weights, computed once for many steps. Source: OpenFace's `NU_RLMS`;
    Saragih et al. 2011, equation 25; Baltrušaitis et al. 2013, equation 9.
    """
    if products is None:
        products = basis_products(pdm.basis, weights)
    rows = euler_to_matrix(params.rotation)[:2]
    jac = rigid_jacobian(pdm, params)
    columns = jnp.concatenate([jac, shifts[..., None]], axis=-1) * weights[:, None, None]
    # In the object frame each column meets the basis directly.
    in_object = params.scale * jnp.einsum("ka,nki->ina", rows, columns)
    mixed = in_object.reshape(N_RIGID + 1, -1) @ pdm.basis.reshape(-1, pdm.n_modes)
    stiffness = reg_factor / pdm.eigenvalues
    turned = rows.T @ rows
    local = jnp.stack([turned[a, b] for a, b in AXES]) @ products.reshape(len(AXES), -1)
    local = params.scale**2 * local.reshape(pdm.n_modes, pdm.n_modes) + jnp.diag(stiffness)
    rigid_hessian, rigid_gradient = _weighted(jac, columns)
    cross = mixed[:N_RIGID]
    hessian = jnp.block([[rigid_hessian, cross], [cross.T, local]])
    return hessian, jnp.concatenate([rigid_gradient, mixed[N_RIGID] - stiffness * params.shape])


def rigid_normal_equations(
    pdm: PDM,
    params: FaceParams,
    shifts: Float[Array, "n_points 2"],
    weights: Float[Array, " n_points"],
) -> tuple[Float[Array, "6 6"], Float[Array, " 6"]]:
    """Build the `normal_equations` of scale, rotation and translation alone, which are not regularised."""
    jac = rigid_jacobian(pdm, params)
    columns = jnp.concatenate([jac, shifts[..., None]], axis=-1) * weights[:, None, None]
    return _weighted(jac, columns)


def _weighted(jac, columns):
    products = jnp.einsum("nki,nkj->ij", jac, columns)
    return products[:, :N_RIGID], products[:, N_RIGID]


def gauss_newton_step(hessian: Float[Array, "k k"], gradient: Float[Array, " k"]) -> Float[Array, " k"]:
    """Solve the normal equations, which are symmetric and positive definite."""
    solve = partial(jax.lax.platform_dependent, hessian, cpu=_eliminated, default=_by_cholesky)
    times = partial(jnp.matmul, hessian)
    return jax.lax.custom_linear_solve(times, gradient, lambda _, side: solve(side), symmetric=True)


def _by_cholesky(hessian, side):
    factor = jax.scipy.linalg.cho_factor(hessian, lower=True)
    return jax.scipy.linalg.cho_solve(factor, side)


@jax.custom_batching.custom_vmap
def _eliminated(hessian, side):
    """Solve by elimination without pivoting, which positive definite systems do not need.

    JAX's Cholesky on the CPU is LAPACK's, and two programs that call it at the same time can deadlock.
    """
    return _all_eliminated(hessian[..., None], side[..., None])[..., 0]


@_eliminated.def_vmap
def _(n, batched, hessian, side):
    hessian, side = (
        a if is_batched else jnp.broadcast_to(a, (n, *a.shape))
        for a, is_batched in zip((hessian, side), batched, strict=True)
    )
    if native.serves(hessian, side):
        return native.solve(hessian, side), True
    return _all_eliminated(jnp.moveaxis(hessian, 0, -1), side.T).T, True


def _all_eliminated(hessian: Float[Array, "k k n"], side: Float[Array, "k n"]) -> Float[Array, "k n"]:
    """Solve ``n`` systems, which lie side by side so that each operation serves all of them.

    Rows are turned into those of the identity, `PANEL` at a time; later panels work on the remaining ones.
    """
    rest, panels = jnp.concatenate([hessian, side[:, None]], axis=1), []
    while len(rest):
        size = min(PANEL, len(rest))
        rest = jax.lax.fori_loop(0, size, _without, rest)
        panels.append(rest[:size, size:])
        rest = rest[size:, size:]
    solution = side[:0]
    for panel in reversed(panels):
        head = panel[:, -1] - jnp.sum(panel[:, :-1] * solution[None], axis=1)
        solution = jnp.concatenate([head, solution])
    return solution


def _without(i, rows):
    """The equations when unknown ``i`` is left in the i-th alone, with factor 1."""
    row = rows[i] / rows[i, i][None]
    others = rows - rows[:, i][:, None] * row[None]
    return jnp.where((jnp.arange(len(rows)) == i)[:, None, None], row[None], others)
