/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.c -- move the bytes of a volume, without those that are only zeroes. */
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (4u << 20)
#define SECTOR_BYTES 512u
#define BLOCK_BYTES 4096u
#define FRESH_ZERO_BYTES BLOCK_BYTES /* zeroes in a row that are left out of a fresh volume */
#define ZERO_BYTES (64u << 10)       /* zeroes in a row that are discarded rather than written */

/* --- source ----------------------------------------------------------------------------------------------------- */

int source_open(const struct cli *cli, const char *path, struct source *ret_source)
{
    bool standard = strcmp(path, "-") == 0;
    struct stat status;
    *ret_source = (struct source){.fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC),
                                  .path = standard ? "standard input" : path};
    if (ret_source->fd < 0)
        return cli_errno(cli, errno, path, "open");
    if (fstat(ret_source->fd, &status) != 0 || S_ISDIR(status.st_mode)) {
        source_close(ret_source);
        return cli_error(cli, VDE_INVAL, path, "a folder", "a file or block device");
    }
    off_t size = lseek(ret_source->fd, 0, SEEK_END);
    if (!standard && size >= 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode))) {
        ret_source->sized = true;
        ret_source->size = (uint64_t)size;
        lseek(ret_source->fd, 0, SEEK_SET);
    }
    return CLI_DONE;
}

void source_close(struct source *source)
{
    if (source->fd > STDIN_FILENO)
        close(source->fd);
    source->fd = -1;
}

/* Fill the buffer unless the input ends. */
static vde_status read_full(const struct source *source, uint8_t *buffer, size_t size, size_t *ret_size)
{
    *ret_size = 0;
    while (*ret_size < size) {
        ssize_t got = read(source->fd, buffer + *ret_size, size - *ret_size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return vde_error_errno(errno, source->path, "read");
        if (got == 0)
            break;
        *ret_size += (size_t)got;
    }
    return VDE_OK;
}

/* Bytes of the hole at `at`; 0: data, or no telling. */
static uint64_t hole_at(const struct source *source, uint64_t at)
{
    if (!source->sized || at >= source->size)
        return 0;
    off_t data = lseek(source->fd, (off_t)at, SEEK_DATA);
    uint64_t end = data < 0 && errno == ENXIO ? source->size : data < 0 ? at : (uint64_t)data;
    end = end < source->size ? end : source->size;
    end = end > at ? end : at;
    lseek(source->fd, (off_t)end, SEEK_SET);
    return end - at;
}

/* --- into the volume -------------------------------------------------------------------------------------------- */

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static vde_status put_zeroes(struct transfer *t, uint64_t size)
{
    vde_status status = VDE_OK;
    if (!t->fresh && size > 0)
        status = vde_volume_write_zeroes(t->volume, size, t->offset + t->done, 0);
    if (status == VDE_OK)
        t->done += size;
    return status;
}

static vde_status put_data(struct transfer *t, const uint8_t *bytes, uint64_t size)
{
    vde_status status = vde_volume_write(t->volume, bytes, size, t->offset + t->done, 0);
    if (status != VDE_OK)
        return status;
    t->done += size;
    t->data_bytes += size;
    return VDE_OK;
}

/* Whole sectors: runs of zeroes and runs of the rest in turn. */
static vde_status put_sectors(struct transfer *t, const uint8_t *bytes, size_t size)
{
    size_t unit = t->fresh ? FRESH_ZERO_BYTES : ZERO_BYTES;
    for (size_t at = 0; at < size;) {
        size_t end = at + unit < size ? at + unit : size;
        bool zero = all_zero(bytes + at, end - at);
        while (end < size) {
            size_t next = end + unit < size ? end + unit : size;
            if (all_zero(bytes + end, next - end) != zero)
                break;
            end = next;
        }
        vde_status status = zero ? put_zeroes(t, end - at) : put_data(t, bytes + at, end - at);
        if (status != VDE_OK)
            return status;
        at = end;
    }
    return VDE_OK;
}

/* The input ends within a sector: the rest of it stays as it is. */
static vde_status put_tail(struct transfer *t, const uint8_t *bytes, size_t size)
{
    uint8_t sector[SECTOR_BYTES];
    uint64_t place = t->offset + t->done;
    vde_status status = vde_volume_read(t->volume, sector, sizeof sector, place);
    memcpy(sector, bytes, size);
    if (status == VDE_OK)
        status = vde_volume_write(t->volume, sector, sizeof sector, place, 0);
    if (status != VDE_OK)
        return status;
    t->done += size;
    t->data_bytes += size;
    return VDE_OK;
}

static vde_status put_bytes(struct transfer *t, const struct source *source, const uint8_t *bytes, size_t size)
{
    uint64_t left = vde_volume_size(t->volume) - t->offset - t->done;
    size_t fits = size < left ? size : (size_t)left, tail = fits % SECTOR_BYTES;
    vde_status status = put_sectors(t, bytes, fits - tail);
    if (status == VDE_OK && tail)
        status = put_tail(t, bytes + fits - tail, tail);
    if (status == VDE_OK && fits < size)
        status = vde_error_set(VDE_TOO_LARGE, source->path, "more than fits into the volume",
                               "an end; the volume was written up to its own");
    return status;
}

static vde_status put_all(struct transfer *t, const struct source *source, uint8_t *buffer)
{
    for (;;) {
        uint64_t hole = hole_at(source, t->done);
        uint64_t tail = t->done + hole == source->size ? hole % SECTOR_BYTES : 0;
        vde_status status = put_zeroes(t, hole - tail);
        size_t got = 0;
        if (tail) {
            memset(buffer, 0, SECTOR_BYTES);
            got = tail;
        } else if (status == VDE_OK && hole == 0) {
            status = read_full(source, buffer, BUFFER_BYTES, &got);
        }
        if (status == VDE_OK && got > 0)
            status = put_bytes(t, source, buffer, got);
        if (status != VDE_OK)
            return status;
        progress_update(t->what, t->done, source->sized ? source->size : 0);
        if (tail || (hole == 0 && got < BUFFER_BYTES))
            return vde_volume_flush(t->volume);
    }
}

vde_status transfer_in(struct transfer *transfer, struct source *source)
{
    uint8_t *buffer = cli_alloc(NULL, BUFFER_BYTES);
    vde_status status = put_all(transfer, source, buffer);
    free(buffer);
    progress_done();
    return status;
}

/* --- out of the volume ------------------------------------------------------------------------------------------ */

/* At most a buffer full; requests to the volume are whole sectors, whatever was asked for. */
static vde_status take_data(struct transfer *t, struct sink *sink, uint8_t *buffer, uint64_t size)
{
    uint64_t place = t->offset + t->done, skip = place % SECTOR_BYTES;
    size = size < BUFFER_BYTES - BLOCK_BYTES ? size : BUFFER_BYTES - BLOCK_BYTES - skip;
    uint64_t whole = (skip + size + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
    vde_status status = vde_volume_read(t->volume, buffer, whole, place - skip);
    if (status == VDE_OK)
        status = sink_put(sink, buffer + skip, size);
    if (status == VDE_OK) {
        t->done += size;
        t->data_bytes += size;
    }
    return status;
}

static vde_status take_zeroes(struct transfer *t, struct sink *sink, uint8_t *buffer, uint64_t size)
{
    vde_status status = VDE_OK;
    if (sink->sparse) {
        if (lseek(sink->fd, (off_t)size, SEEK_CUR) < 0)
            return vde_error_errno(errno, sink->path, "seek");
    } else {
        size = size < BUFFER_BYTES ? size : BUFFER_BYTES;
        memset(buffer, 0, size);
        status = sink_put(sink, buffer, size);
    }
    if (status == VDE_OK)
        t->done += size;
    return status;
}

static vde_status take_all(struct transfer *t, struct sink *sink, uint8_t *buffer)
{
    while (t->done < t->total) {
        enum vde_block_state state;
        uint64_t bytes, left = t->total - t->done;
        vde_status status = vde_volume_block_status(t->volume, t->offset + t->done, left, &state, &bytes);
        if (status != VDE_OK)
            return status;
        bytes = bytes < left ? bytes : left;
        status = state == VDE_BLOCK_DATA ? take_data(t, sink, buffer, bytes) : take_zeroes(t, sink, buffer, bytes);
        if (status != VDE_OK)
            return status;
        progress_update(t->what, t->done, t->total);
    }
    return VDE_OK;
}

vde_status transfer_out(struct transfer *transfer, struct sink *sink)
{
    uint8_t *buffer = cli_alloc(NULL, BUFFER_BYTES);
    vde_status status = take_all(transfer, sink, buffer);
    free(buffer);
    progress_done();
    return status;
}
