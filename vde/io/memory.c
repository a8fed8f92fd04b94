/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c -- a device in RAM. Every completed write counts as durable; contents die with the device. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fail.h"
#include "io/request.h"

static const char name[] = "memory device";

struct memory_device {
    struct vde_device device;
    struct vde_device_info info;
    pthread_rwlock_t lock; /* readers of `bytes` share, writers don't: a read sees whole requests */
    uint8_t *bytes;
};

static void move(struct memory_device *memory, struct vde_io *io)
{
    if (io->op == VDE_IO_READ) {
        pthread_rwlock_rdlock(&memory->lock);
        memcpy(io->buffer, memory->bytes + io->offset, io->size);
    } else {
        pthread_rwlock_wrlock(&memory->lock);
        memcpy(memory->bytes + io->offset, io->buffer, io->size);
    }
    pthread_rwlock_unlock(&memory->lock);
}

static vde_status memory_run(struct vde_device *device, struct vde_io *ios, size_t count)
{
    struct memory_device *memory = (struct memory_device *)device;
    for (size_t i = 0; i < count; i++)
        if (request_check(&memory->info, &ios[i]))
            move(memory, &ios[i]);
    return request_report(name, ios, count);
}

static vde_status memory_flush(struct vde_device *device)
{
    (void)device;
    return VDE_OK;
}

static vde_status memory_discard(struct vde_device *device, uint64_t offset, uint64_t size)
{
    struct memory_device *memory = (struct memory_device *)device;
    VDE_TRY(request_check_discard(&memory->info, name, offset, size));
    if (size == 0)
        return VDE_OK;
    pthread_rwlock_wrlock(&memory->lock);
    madvise(memory->bytes + offset, size, MADV_DONTNEED); /* advice: a failure leaves the old bytes, which is allowed */
    pthread_rwlock_unlock(&memory->lock);
    return VDE_OK;
}

static void memory_info(struct vde_device *device, struct vde_device_info *ret_info)
{
    *ret_info = ((struct memory_device *)device)->info;
}

static void memory_close(struct vde_device *device)
{
    struct memory_device *memory = (struct memory_device *)device;
    munmap(memory->bytes, memory->info.size_bytes);
    pthread_rwlock_destroy(&memory->lock);
    free(memory);
}

static const struct vde_device_ops memory_ops = {
    .run = memory_run,
    .flush = memory_flush,
    .discard = memory_discard,
    .info = memory_info,
    .close = memory_close,
};

vde_status vde_device_memory(uint64_t size_bytes, struct vde_device **ret_device)
{
    if (size_bytes == 0 || size_bytes % REQUEST_UNIT_BYTES != 0 || size_bytes > SIZE_MAX / 2)
        return fail_as(VDE_INVAL, "%s|size %llu|a multiple of %u", name, (unsigned long long)size_bytes,
                       REQUEST_UNIT_BYTES);
    struct memory_device *memory = calloc(1, sizeof *memory);
    if (!memory)
        return fail_nomem(name);
    /* Pages come into being when they are written, so a large and mostly empty device costs little. */
    memory->bytes = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory->bytes == MAP_FAILED) {
        free(memory);
        return fail_nomem(name);
    }
    pthread_rwlock_init(&memory->lock, NULL);
    memory->device.ops = &memory_ops;
    memory->info.size_bytes = size_bytes;
    memory->info.logical_block_bytes = REQUEST_UNIT_BYTES;
    snprintf(memory->info.backend, sizeof memory->info.backend, "memory");
    snprintf(memory->info.note, sizeof memory->info.note, "in memory, nothing survives the process");
    *ret_device = &memory->device;
    return VDE_OK;
}
