// Compiled once for every set of instructions, under the name that KERNELS gives.
#include "kernels.h"

#include "network.h"
#include "responses.h"
#include "solve.h"

const Kernels KERNELS = {response_maps, solve, map_moments};
