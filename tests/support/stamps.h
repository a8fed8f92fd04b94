/* SPDX-License-Identifier: Apache-2.0 */
/* stamps.h -- 512-byte sectors whose bytes follow from a number, so that a model holds one number for each sector. */
#ifndef TESTS_STAMPS_H
#define TESTS_STAMPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAMP_BYTES 512u

/* Stamp 0: zeroes. Odd stamps make sectors that can be compressed, even ones random bytes. The first eight bytes of a
 * sector are its stamp. */
void stamp_fill(void *sector, uint64_t stamp);
bool stamp_matches(const void *sector, uint64_t stamp);
/* For messages: the stamp that the bytes begin with. */
uint64_t stamp_of(const void *sector);
#endif
