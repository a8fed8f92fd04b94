/* SPDX-License-Identifier: Apache-2.0 */
/* conflict_world.h -- random histories of transactions that read older versions, against the oracle. */
#ifndef TESTS_CONFLICT_WORLD_H
#define TESTS_CONFLICT_WORLD_H

#include <stdint.h>

struct conflict_options {
    uint64_t seed, operations;
};
/* --seed FIRST, --operations N over the given defaults. */
void conflict_parse(int argc, char **argv, struct conflict_options *options);
/* As many worlds as the operations need; ends the program at the first difference. 0. */
int conflict_run(const struct conflict_options *options);
#endif
