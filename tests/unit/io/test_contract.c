/* SPDX-License-Identifier: Apache-2.0 */
/* What vde/device.h promises, over every backend: the same cases for all. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends.h"

static struct backend backends[] = {BACKENDS};

static struct vde_device *open_backend(const struct backend *backend)
{
    struct vde_device *device = backend_open(backend);
    cr_assert_not_null(device, "%s in '%s': %s", backend->name, backend->folder, vde_last_error()->text);
    return device;
}

#define FOR_EVERY_BACKEND(test)                                                                                        \
    ParameterizedTestParameters(contract, test)                                                                        \
    {                                                                                                                  \
        return cr_make_param_array(struct backend, backends, sizeof backends / sizeof backends[0]);                    \
    }                                                                                                                  \
    ParameterizedTest(struct backend *backend, contract, test)

FOR_EVERY_BACKEND(new_device_reads_zeroes_and_describes_itself)
{
    struct vde_device *device = open_backend(backend);
    struct vde_device_info info;
    device->ops->info(device, &info);
    cr_assert_eq(info.size_bytes, DEVICE_BYTES);
    cr_assert(info.logical_block_bytes == 512 || info.logical_block_bytes == 4096);
    cr_assert(!info.read_only && !info.is_block_device);
    cr_assert(strlen(info.note) > 0);
    if (strcmp(backend->name, "auto") != 0)
        cr_assert_str_eq(info.backend, backend->name);
    cr_assert(reads_zeroes(device, 0, VDE_IO_MAX_BYTES));
    cr_assert(reads_zeroes(device, DEVICE_BYTES - 4096, 4096));
    device->ops->close(device);
}

FOR_EVERY_BACKEND(what_was_written_is_read_back)
{
    struct vde_device *device = open_backend(backend);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    cr_assert_eq(write_seed(device, 12288, 65536, 2, 0), VDE_OK);
    cr_assert_eq(write_seed(device, DEVICE_BYTES - VDE_IO_MAX_BYTES, VDE_IO_MAX_BYTES, 3, 0), VDE_OK);
    cr_assert(reads_seed(device, 0, 4096, 1));
    cr_assert(reads_zeroes(device, 4096, 8192));
    cr_assert(reads_seed(device, 12288, 65536, 2));
    cr_assert(reads_seed(device, DEVICE_BYTES - VDE_IO_MAX_BYTES, VDE_IO_MAX_BYTES, 3));
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert(reads_seed(device, 12288, 65536, 2));
    device->ops->close(device);
}

FOR_EVERY_BACKEND(durable_writes_work_alone_and_in_a_batch)
{
    struct vde_device *device = open_backend(backend);
    cr_assert_eq(write_seed(device, 4096, 8192, 4, VDE_IO_DSYNC), VDE_OK);
    struct vde_io ios[2] = {
        {.op = VDE_IO_WRITE, .flags = VDE_IO_DSYNC, .size = 4096, .offset = 40960, .buffer = aligned_buffer(4096)},
        {.op = VDE_IO_WRITE, .size = 4096, .offset = 81920, .buffer = aligned_buffer(4096)},
    };
    fill_bytes(ios[0].buffer, 4096, 5);
    fill_bytes(ios[1].buffer, 4096, 6);
    cr_assert_eq(device->ops->run(device, ios, 2), VDE_OK);
    cr_assert(reads_seed(device, 4096, 8192, 4));
    cr_assert(reads_seed(device, 40960, 4096, 5));
    cr_assert(reads_seed(device, 81920, 4096, 6));
    free(ios[0].buffer);
    free(ios[1].buffer);
    device->ops->close(device);
}

FOR_EVERY_BACKEND(wrong_requests_are_refused)
{
    struct vde_device *device = open_backend(backend);
    uint8_t *buffer = aligned_buffer(2 * VDE_IO_MAX_BYTES);
    struct vde_io wrong[] = {
        {.op = VDE_IO_READ, .size = 4096, .offset = 512, .buffer = buffer},
        {.op = VDE_IO_READ, .size = 512, .offset = 0, .buffer = buffer},
        {.op = VDE_IO_READ, .size = 0, .offset = 0, .buffer = buffer},
        {.op = VDE_IO_READ, .size = 4096, .offset = 0, .buffer = buffer + 512},
        {.op = VDE_IO_READ, .size = 4096, .offset = 0, .buffer = NULL},
        {.op = VDE_IO_READ, .size = VDE_IO_MAX_BYTES + 4096, .offset = 0, .buffer = buffer},
        {.op = VDE_IO_READ, .size = 4096, .offset = DEVICE_BYTES, .buffer = buffer},
        {.op = VDE_IO_WRITE, .size = 8192, .offset = DEVICE_BYTES - 4096, .buffer = buffer},
        {.op = VDE_IO_READ, .size = 4096, .offset = UINT64_MAX - 4095, .buffer = buffer},
        {.op = 2, .size = 4096, .offset = 0, .buffer = buffer},
        {.op = VDE_IO_WRITE, .flags = 2, .size = 4096, .offset = 0, .buffer = buffer},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_eq(device->ops->run(device, &wrong[i], 1), VDE_INVAL, "case %zu", i);
        cr_assert_eq(wrong[i].result, VDE_INVAL);
        cr_assert_eq(vde_last_error()->status, VDE_INVAL);
    }
    cr_assert_eq(device->ops->discard(device, 512, 4096), VDE_INVAL);
    cr_assert_eq(device->ops->discard(device, 0, DEVICE_BYTES + 4096), VDE_INVAL);
    cr_assert_eq(device->ops->run(device, NULL, 0), VDE_OK);
    cr_assert(reads_zeroes(device, 0, 4096));
    free(buffer);
    device->ops->close(device);
}

FOR_EVERY_BACKEND(batches_have_a_result_for_each_request)
{
    enum { COUNT = 200 };
    static struct vde_io ios[COUNT];
    struct vde_device *device = open_backend(backend);
    uint8_t *buffer = aligned_buffer(COUNT * 8192);
    for (size_t i = 0; i < COUNT; i++) {
        fill_bytes(buffer + i * 8192, 8192, 100 + i);
        ios[i] = (struct vde_io){.op = VDE_IO_WRITE, .size = 8192, .offset = i * 16384, .buffer = buffer + i * 8192,
                                 .result = 77, .os_errno = 77};
    }
    ios[30].offset = 1;
    ios[90].offset = DEVICE_BYTES;
    cr_assert_eq(device->ops->run(device, ios, COUNT), VDE_INVAL);
    cr_assert(strstr(vde_last_error()->text, "offset 1 "), "%s", vde_last_error()->text);
    for (size_t i = 0; i < COUNT; i++) {
        cr_assert_eq(ios[i].result, i == 30 || i == 90 ? VDE_INVAL : VDE_OK);
        cr_assert_eq(ios[i].os_errno, 0);
        if (ios[i].result == VDE_OK)
            cr_assert(reads_seed(device, i * 16384, 8192, 100 + i));
    }
    memset(buffer, 0, COUNT * 8192);
    for (size_t i = 0; i < COUNT; i++) {
        ios[i].op = VDE_IO_READ;
        ios[i].offset = i * 16384;
    }
    cr_assert_eq(device->ops->run(device, ios, COUNT), VDE_OK);
    for (size_t i = 0; i < COUNT; i++)
        cr_assert(i == 30 || i == 90 || bytes_equal_seed(buffer + i * 8192, 8192, 100 + i));
    free(buffer);
    device->ops->close(device);
}

FOR_EVERY_BACKEND(discard_leaves_the_neighbours_alone)
{
    struct vde_device *device = open_backend(backend);
    cr_assert_eq(write_seed(device, 0, 4096, 1, 0), VDE_OK);
    cr_assert_eq(write_seed(device, 4096, 65536, 2, 0), VDE_OK);
    cr_assert_eq(write_seed(device, 69632, 4096, 3, 0), VDE_OK);
    cr_assert_eq(device->ops->discard(device, 4096, 65536), VDE_OK);
    cr_assert_eq(device->ops->discard(device, 4096, 0), VDE_OK);
    cr_assert(reads_seed(device, 0, 4096, 1));
    cr_assert(reads_seed(device, 69632, 4096, 3));
    cr_assert_eq(write_seed(device, 4096, 65536, 4, 0), VDE_OK);
    cr_assert_eq(device->ops->flush(device), VDE_OK);
    cr_assert(reads_seed(device, 4096, 65536, 4));
    device->ops->close(device);
}

enum { THREADS = 12, ROUNDS = 20, STRIPE = 16 };

struct worker {
    struct vde_device *device;
    unsigned number;
    bool good;
};

/* Blocks of all threads alternate on the device; each thread owns its own. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    struct vde_io ios[STRIPE];
    uint8_t *buffer = aligned_buffer(STRIPE * 4096);
    worker->good = true;
    for (unsigned round = 0; round < ROUNDS && worker->good; round++) {
        for (unsigned i = 0; i < STRIPE; i++) {
            ios[i] = (struct vde_io){.op = VDE_IO_WRITE, .size = 4096, .buffer = buffer + i * 4096,
                                     .offset = (uint64_t)(i * THREADS + worker->number) * 4096};
            fill_bytes(ios[i].buffer, 4096, round * 1000 + worker->number * 100 + i);
        }
        worker->good = worker->device->ops->run(worker->device, ios, STRIPE) == VDE_OK;
        if (round % 8 == 0)
            worker->good &= worker->device->ops->flush(worker->device) == VDE_OK;
        memset(buffer, 0, STRIPE * 4096);
        for (unsigned i = 0; i < STRIPE; i++)
            ios[i].op = VDE_IO_READ;
        worker->good &= worker->device->ops->run(worker->device, ios, STRIPE) == VDE_OK;
        for (unsigned i = 0; i < STRIPE; i++)
            worker->good &= bytes_equal_seed(ios[i].buffer, 4096, round * 1000 + worker->number * 100 + i);
    }
    free(buffer);
    return NULL;
}

FOR_EVERY_BACKEND(many_threads_share_one_device)
{
    struct vde_device *device = open_backend(backend);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.device = device, .number = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_expect(workers[i].good, "thread %u", i);
    }
    device->ops->close(device);
}
