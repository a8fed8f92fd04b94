/* SPDX-License-Identifier: Apache-2.0 */
/* le.h -- little-endian fields of on-disk structs: byte arrays, so no padding, no aliasing trouble, no host order. */
#ifndef VDE_BASE_LE_H
#define VDE_BASE_LE_H

#include <stdint.h>

typedef struct { uint8_t b[2]; } vde_le16;
typedef struct { uint8_t b[4]; } vde_le32;
typedef struct { uint8_t b[8]; } vde_le64;

static inline uint16_t le16_get(vde_le16 v) { return (uint16_t)(v.b[0] | (uint16_t)v.b[1] << 8); }
static inline uint32_t le32_get(vde_le32 v)
{
    return (uint32_t)v.b[0] | (uint32_t)v.b[1] << 8 | (uint32_t)v.b[2] << 16 | (uint32_t)v.b[3] << 24;
}
static inline uint64_t le64_get(vde_le64 v)
{
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--)
        x = x << 8 | v.b[i];
    return x;
}
static inline vde_le16 le16(uint16_t x) { return (vde_le16){{(uint8_t)x, (uint8_t)(x >> 8)}}; }
static inline vde_le32 le32(uint32_t x)
{
    return (vde_le32){{(uint8_t)x, (uint8_t)(x >> 8), (uint8_t)(x >> 16), (uint8_t)(x >> 24)}};
}
static inline vde_le64 le64(uint64_t x)
{
    vde_le64 v;
    for (int i = 0; i < 8; i++)
        v.b[i] = (uint8_t)(x >> (8 * i));
    return v;
}

/* Big-endian integers in keys, so that byte order is number order. */
static inline void be64_put(uint8_t *p, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(x >> (56 - 8 * i));
}
static inline uint64_t be64_get(const uint8_t *p)
{
    uint64_t x = 0;
    for (int i = 0; i < 8; i++)
        x = x << 8 | p[i];
    return x;
}
#endif
