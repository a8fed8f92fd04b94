/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void tmp_path(char ret_path[TMP_PATH_BYTES], const char *folder, const char *name)
{
    static unsigned calls;
    unsigned call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (!folder)
        folder = getenv("TMPDIR");
    snprintf(ret_path, TMP_PATH_BYTES, "%s/vde-test-%d-%u-%s", folder && folder[0] ? folder : "/tmp", (int)getpid(),
             call, name);
    tmp_remove(ret_path);
}

void tmp_remove(const char *path)
{
    if (unlink(path) != 0)
        rmdir(path);
}

void *aligned_buffer(size_t size)
{
    void *buffer = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    if (!buffer) {
        fprintf(stderr, "no memory for a test buffer\n");
        exit(99);
    }
    return buffer;
}

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void fill_bytes(void *buffer, size_t size, uint64_t seed)
{
    uint8_t *to = buffer;
    for (size_t done = 0; done < size; done += sizeof(uint64_t)) {
        uint64_t x = next(&seed);
        memcpy(to + done, &x, size - done < sizeof x ? size - done : sizeof x);
    }
}

bool bytes_equal_seed(const void *buffer, size_t size, uint64_t seed)
{
    const uint8_t *from = buffer;
    for (size_t done = 0; done < size; done += sizeof(uint64_t)) {
        uint64_t x = next(&seed);
        if (memcmp(from + done, &x, size - done < sizeof x ? size - done : sizeof x) != 0)
            return false;
    }
    return true;
}

vde_status write_seed(struct vde_device *device, uint64_t offset, uint32_t size, uint64_t seed, unsigned flags)
{
    struct vde_io io = {.op = VDE_IO_WRITE, .flags = (uint8_t)flags, .size = size, .offset = offset};
    io.buffer = aligned_buffer(size);
    fill_bytes(io.buffer, size, seed);
    vde_status status = device->ops->run(device, &io, 1);
    free(io.buffer);
    return status;
}

/* Read one request; NULL when that failed. */
static uint8_t *read_range(struct vde_device *device, uint64_t offset, uint32_t size)
{
    struct vde_io io = {.op = VDE_IO_READ, .size = size, .offset = offset};
    io.buffer = aligned_buffer(size);
    memset(io.buffer, 0xee, size);
    if (device->ops->run(device, &io, 1) == VDE_OK)
        return io.buffer;
    free(io.buffer);
    return NULL;
}

bool reads_seed(struct vde_device *device, uint64_t offset, uint32_t size, uint64_t seed)
{
    uint8_t *bytes = read_range(device, offset, size);
    bool equal = bytes && bytes_equal_seed(bytes, size, seed);
    free(bytes);
    return equal;
}

bool reads_zeroes(struct vde_device *device, uint64_t offset, uint32_t size)
{
    uint8_t *bytes = read_range(device, offset, size);
    bool zero = bytes != NULL;
    for (uint32_t i = 0; zero && i < size; i++)
        zero = bytes[i] == 0;
    free(bytes);
    return zero;
}
