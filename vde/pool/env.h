/* SPDX-License-Identifier: Apache-2.0 */
/* env.h -- time and randomness, the system's where the caller brings none. */
#ifndef VDE_POOL_ENV_H
#define VDE_POOL_ENV_H

#include <vde/image.h>

struct vde_env env_or_default(const struct vde_env *env);
#endif
