/* SPDX-License-Identifier: Apache-2.0 */
/* volumes.h -- a volume beside a plain array that must always say the same. */
#ifndef TESTS_UNIT_DATASET_VOLUMES_H
#define TESTS_UNIT_DATASET_VOLUMES_H

#include <vde/volume.h>

#include "unit/pool/engine.h"

struct shadow {
    vde_volume *volume;
    uint8_t *bytes;
    uint64_t size;
    uint64_t random;
};

static inline uint64_t draw(uint64_t *random, uint64_t below)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return below ? (*random >> 24) % below : 0;
}

static inline void create_volume(vde_image *image, const char *name, uint64_t size, uint32_t level)
{
    struct vde_volume_opts opts = VDE_VOLUME_OPTS_INIT;
    opts.size_bytes = size;
    opts.compression = level;
    OK(vde_volume_create(image, name, &opts));
}

static inline vde_volume *open_volume(vde_image *image, const char *name)
{
    vde_volume *volume;
    OK(vde_volume_open(image, name, NULL, &volume));
    return volume;
}

static inline struct shadow shadow_create(vde_image *image, const char *name, uint64_t size, uint32_t level)
{
    create_volume(image, name, size, level);
    return (struct shadow){open_volume(image, name), calloc(1, size + 4096), size, 1};
}

/* Bytes that zstd can do something with, or not. */
static inline void shadow_fill(struct shadow *shadow, uint64_t size, uint64_t offset)
{
    uint64_t seed = draw(&shadow->random, UINT64_MAX >> 24);
    fill_bytes(shadow->bytes + offset, size, seed);
    if (seed % 3 != 0)
        for (uint64_t i = 0; i < size; i++)
            shadow->bytes[offset + i] &= 3;
}

static inline void shadow_write(struct shadow *shadow, uint64_t size, uint64_t offset)
{
    shadow_fill(shadow, size, offset);
    OK(vde_volume_write(shadow->volume, shadow->bytes + offset, size, offset, 0));
}

static inline void shadow_zero(struct shadow *shadow, uint64_t size, uint64_t offset)
{
    memset(shadow->bytes + offset, 0, size);
    OK(vde_volume_write_zeroes(shadow->volume, size, offset, 0));
}

static inline void shadow_discard(struct shadow *shadow, uint64_t size, uint64_t offset)
{
    uint64_t first = (offset + 4095) / 4096 * 4096, end = offset + size;
    end = end == shadow->size ? end : end / 4096 * 4096;
    if (first < end)
        memset(shadow->bytes + first, 0, end - first);
    OK(vde_volume_discard(shadow->volume, size, offset, 0));
}

static inline void shadow_check(struct shadow *shadow, uint64_t size, uint64_t offset, size_t misalign)
{
    uint8_t *buffer = aligned_buffer(size + 8192);
    OK(vde_volume_read(shadow->volume, buffer + misalign, size, offset));
    for (uint64_t i = 0; i < size; i++)
        if (buffer[misalign + i] != shadow->bytes[offset + i]) {
            fprintf(stderr, "byte %llu of %llu at %llu: %02x, expected %02x\n", (unsigned long long)i,
                    (unsigned long long)size, (unsigned long long)offset, buffer[misalign + i],
                    shadow->bytes[offset + i]);
            abort();
        }
    free(buffer);
}

static inline void shadow_check_all(struct shadow *shadow)
{
    shadow_check(shadow, shadow->size, 0, 0);
}

/* Whatever reads as data is said to be data; what is said to be a hole reads as zeroes. */
static inline uint64_t shadow_check_status(struct shadow *shadow)
{
    uint64_t data = 0;
    for (uint64_t at = 0, bytes; at < shadow->size; at += bytes) {
        enum vde_block_state state;
        OK(vde_volume_block_status(shadow->volume, at, shadow->size, &state, &bytes));
        REQUIRE(bytes > 0 && bytes <= shadow->size - at);
        if (state == VDE_BLOCK_DATA)
            data += bytes;
        else
            for (uint64_t i = 0; i < bytes; i++)
                REQUIRE(shadow->bytes[at + i] == 0);
    }
    return data;
}

static inline void shadow_random(struct shadow *shadow, uint64_t largest)
{
    uint64_t size = (1 + draw(&shadow->random, largest / 512)) * 512, offset;
    size = size > shadow->size ? shadow->size : size;
    offset = draw(&shadow->random, (shadow->size - size) / 512 + 1) * 512;
    if (draw(&shadow->random, 2)) { /* whole blocks half of the time */
        offset = offset / 4096 * 4096;
        size = (size + 4095) / 4096 * 4096;
        size = offset + size > shadow->size ? shadow->size - offset : size;
    }
    switch (draw(&shadow->random, 8)) {
    case 0:
        shadow_zero(shadow, size, offset);
        break;
    case 1:
        shadow_discard(shadow, size, offset);
        break;
    case 2:
    case 3:
        shadow_check(shadow, size, offset, draw(&shadow->random, 2) * 512);
        break;
    default:
        shadow_write(shadow, size, offset);
    }
}

static inline void shadow_reopen(struct shadow *shadow, vde_image **image, struct vde_device *device, const char *name)
{
    vde_volume_close(shadow->volume);
    *image = reopen(*image, device);
    shadow->volume = open_volume(*image, name);
}

static inline void shadow_done(struct shadow *shadow)
{
    vde_volume_close(shadow->volume);
    free(shadow->bytes);
}
#endif
