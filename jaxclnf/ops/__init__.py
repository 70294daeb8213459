"""The stages of the algorithm as pure functions of arrays, for one face; batching is `jax.vmap`."""
