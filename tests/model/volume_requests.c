/* SPDX-License-Identifier: Apache-2.0 */
/* volume_requests.c -- reads, writes, zeroes, discards and flushes of all shapes, blocking and asynchronous. */
#include <stdarg.h>

#include "unit/pool/engine.h"
#include "stamps.h"
#include "volume_steps.h"

#define BATCH_MAX 24u
#define WHOLE_SECTORS 256u /* of a request that happens as a whole or not at all */

unsigned some_volume(struct world *w)
{
    unsigned first = (unsigned)pick(w, VOLUMES);
    for (unsigned i = 0; i < VOLUMES; i++)
        if (w->now.volumes[(first + i) % VOLUMES].name)
            return (first + i) % VOLUMES;
    return VOLUMES;
}

void trace(struct world *w, const char *format, ...)
{
    va_list args;
    if (!w->trace)
        return;
    fprintf(stderr, "%llu: ", (unsigned long long)w->step);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* A range in the window: mostly small ones, in a part of the window that is written often. */
static void some_range(struct world *w, const struct content *content, uint64_t most, uint64_t *ret_sector,
                       uint64_t *ret_count)
{
    static const uint64_t sizes[] = {1, 8, 8, 16, 40, 128, 257, 600};
    uint64_t area = pick(w, 3) ? 512 : content->sectors;
    uint64_t sector = pick(w, area < content->sectors ? area : content->sectors);
    uint64_t count = sizes[pick(w, sizeof sizes / sizeof sizes[0])];
    if (pick(w, 3) == 0)
        count = 1 + pick(w, count);
    if (pick(w, 3)) {
        sector -= sector % BLOCK_SECTORS;
        count = (count + BLOCK_SECTORS - 1) / BLOCK_SECTORS * BLOCK_SECTORS;
    } else if (pick(w, 8) == 0) { /* frames */
        sector -= sector % CHUNK_SECTORS;
        count = (count + CHUNK_SECTORS - 1) / CHUNK_SECTORS * CHUNK_SECTORS;
    }
    if (count > most)
        count = most;
    if (count > content->sectors - sector)
        count = content->sectors - sector;
    *ret_sector = sector;
    *ret_count = count;
}

static uint64_t new_stamp(struct world *w, uint64_t count)
{
    uint64_t stamp = w->clock.stamps + 2;
    w->clock.stamps += 2 * count + 2;
    return stamp | pick(w, 2);
}

static void fill(uint8_t *bytes, uint64_t count, uint64_t stamp)
{
    for (uint64_t i = 0; i < count; i++)
        stamp_fill(bytes + i * STAMP_BYTES, stamp + 2 * i);
}

/* Nothing may make a write to a preallocated volume fail but old blocks that somebody keeps. */
static bool space_is_kept(const struct volume *volume)
{
    return volume->prealloc && !volume->shared && !volume->compression && volume->base == 0;
}

/* A request of more than 128 KiB to a preallocated volume was refused: parts of it may be there, each sector as before or as it
 * wanted. */
static void settle_parts(struct world *w, unsigned slot, uint64_t sector, uint64_t count, uint64_t stamp)
{
    struct volume *volume = &w->now.volumes[slot];
    volume->vague = true;
    OK(vde_volume_read(handle_of(w, slot), w->buffer, count * STAMP_BYTES, volume->base + sector * STAMP_BYTES));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t wanted = stamp ? stamp + 2 * i : 0;
        if ((stamp && content_stamp(&volume->now, sector + i) == wanted) ||
            !stamp_matches(w->buffer + i * STAMP_BYTES, wanted))
            continue;
        if (stamp)
            content_write(&volume->now, &w->clock, sector + i, 1, wanted, volume->compression != 0);
        else
            content_zero(&volume->now, &w->clock, sector + i, 1, false, volume->compression != 0);
        w->dirty[slot] = true;
    }
    verify_bytes(&volume->now, sector, count, w->buffer, "a refused request");
}

void step_write(struct world *w)
{
    unsigned slot = some_volume(w);
    uint64_t sector, count;
    if (slot == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    some_range(w, &volume->now, WINDOW_SECTORS, &sector, &count);
    uint64_t stamp = new_stamp(w, count);
    uint32_t flags = pick(w, 12) == 0 ? VDE_VOLUME_FUA : 0;
    fill(w->buffer, count, stamp);
    trace(w, "write %u: %llu + %llu flags %u stamp %llu", volume->name, (unsigned long long)sector,
          (unsigned long long)count, flags, (unsigned long long)stamp);
    vde_status status = vde_volume_write(handle_of(w, slot), w->buffer, count * STAMP_BYTES,
                                         volume->base + sector * STAMP_BYTES, flags);
    REQUIRE(status == VDE_OK || !space_is_kept(volume));
    w->operations++;
    if (took(w, status)) {
        content_write(&volume->now, &w->clock, sector, count, stamp, volume->compression != 0);
        w->dirty[slot] |= !flags;
    } else if (volume->prealloc && count > WHOLE_SECTORS) {
        settle_parts(w, slot, sector, count, stamp);
    }
}

void step_zero(struct world *w)
{
    unsigned slot = some_volume(w);
    bool whole = pick(w, 2);
    uint64_t sector, count;
    if (slot == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    some_range(w, &volume->now, WINDOW_SECTORS, &sector, &count);
    uint32_t flags = pick(w, 12) == 0 ? VDE_VOLUME_FUA : 0;
    uint64_t offset = volume->base + sector * STAMP_BYTES, bytes = count * STAMP_BYTES;
    trace(w, "%s %u: %llu + %llu", whole ? "discard" : "write zeroes", volume->name, (unsigned long long)sector,
          (unsigned long long)count);
    vde_volume *handle = handle_of(w, slot);
    vde_status status = whole ? vde_volume_discard(handle, bytes, offset, flags)
                              : vde_volume_write_zeroes(handle, bytes, offset, flags);
    w->operations++;
    REQUIRE(!whole || volume->compression || status == VDE_OK); /* a discard frees: it always works */
    if (took(w, status)) {
        content_zero(&volume->now, &w->clock, sector, count, whole, volume->compression != 0);
        w->dirty[slot] = true;
    } else if (volume->prealloc && count > WHOLE_SECTORS) {
        settle_parts(w, slot, sector, count, 0);
    }
}

void step_read(struct world *w)
{
    unsigned slot = some_volume(w);
    uint64_t sector, count;
    char name[NAME_BYTES];
    if (slot == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    some_range(w, &volume->now, WINDOW_SECTORS, &sector, &count);
    volume_name(volume->name, name);
    trace(w, "read %u: %llu + %llu", volume->name, (unsigned long long)sector, (unsigned long long)count);
    OK(vde_volume_read(handle_of(w, slot), w->buffer, count * STAMP_BYTES, volume->base + sector * STAMP_BYTES));
    verify_bytes(&volume->now, sector, count, w->buffer, name);
    w->operations++;
}

void step_flush(struct world *w)
{
    unsigned slot = some_volume(w);
    if (slot == VOLUMES)
        return;
    trace(w, "flush %u", w->now.volumes[slot].name);
    OK(vde_volume_flush(handle_of(w, slot)));
    w->dirty[slot] = false;
    w->operations++;
}

void flush_all(struct world *w)
{
    for (unsigned i = 0; i < VOLUMES; i++) {
        if (w->now.volumes[i].name && w->dirty[i])
            OK(vde_volume_flush(handle_of(w, i)));
        w->dirty[i] = false;
    }
}

void step_status(struct world *w)
{
    unsigned slot = some_volume(w);
    char name[NAME_BYTES];
    if (slot == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    volume_name(volume->name, name);
    trace(w, "block status %u", volume->name);
    verify_status(volume, &volume->now, handle_of(w, slot), pick(w, volume->now.sectors), name);
    w->operations++;
}

void step_defrag(struct world *w)
{
    unsigned slot = some_volume(w);
    uint64_t offset = 0, bytes = 0;
    if (slot == VOLUMES)
        return;
    struct volume *volume = &w->now.volumes[slot];
    trace(w, "defrag %u", volume->name);
    for (unsigned rounds = 0; rounds < 100; rounds++) {
        vde_status status = vde_volume_defrag(handle_of(w, slot), &offset, 256u << 10, &bytes);
        w->operations++;
        if (!took(w, status) || offset == 0)
            break;
    }
    volume->moved = volume->vague = true;
    content_touch(&volume->now, &w->clock);
}

/* --- asynchronous: requests that don't overlap, though they may share blocks ------------------------------------------- */

struct one {
    struct vde_volume_request request;
    unsigned slot;
    uint64_t sector, count, stamp;
    uint8_t *bytes;
    bool done;
};

static bool overlaps(const struct one *ones, unsigned count, const struct one *next)
{
    for (unsigned i = 0; i < count; i++)
        if (ones[i].slot == next->slot && ones[i].sector < next->sector + next->count &&
            next->sector < ones[i].sector + ones[i].count)
            return true;
    return false;
}

static void called_back(struct vde_volume_request *request)
{
    ((struct one *)request->context)->done = true;
}

static void settle(struct world *w, struct one *one)
{
    struct volume *volume = &w->now.volumes[one->slot];
    char name[NAME_BYTES];
    volume_name(volume->name, name);
    REQUIRE(one->done);
    if (took(w, one->request.status)) {
        switch (one->request.op) {
        case VDE_VOLUME_OP_READ: verify_bytes(&volume->now, one->sector, one->count, one->bytes, name); break;
        case VDE_VOLUME_OP_WRITE:
            content_write(&volume->now, &w->clock, one->sector, one->count, one->stamp, volume->compression != 0);
            w->dirty[one->slot] = true;
            break;
        case VDE_VOLUME_OP_FLUSH: break;
        default:
            content_zero(&volume->now, &w->clock, one->sector, one->count, one->request.op == VDE_VOLUME_OP_DISCARD,
                         volume->compression != 0);
            w->dirty[one->slot] = true;
        }
    }
    free(one->bytes);
}

static void prepare(struct world *w, struct one *one)
{
    static const uint8_t ops[] = {VDE_VOLUME_OP_WRITE, VDE_VOLUME_OP_WRITE, VDE_VOLUME_OP_WRITE, VDE_VOLUME_OP_READ,
                                  VDE_VOLUME_OP_DISCARD, VDE_VOLUME_OP_WRITE_ZEROES, VDE_VOLUME_OP_FLUSH};
    struct volume *volume = &w->now.volumes[one->slot];
    uint8_t op = ops[pick(w, sizeof ops)];
    one->request = (struct vde_volume_request){.volume = handle_of(w, one->slot), .op = op,
                                               .size = one->count * STAMP_BYTES,
                                               .offset = volume->base + one->sector * STAMP_BYTES, .context = one};
    one->request.flags = op != VDE_VOLUME_OP_READ && pick(w, 12) == 0 ? VDE_VOLUME_FUA : 0;
    one->request.done = pick(w, 2) ? called_back : NULL;
    one->bytes = malloc(one->count * STAMP_BYTES);
    if (op == VDE_VOLUME_OP_FLUSH)
        one->request.size = one->request.offset = one->request.flags = 0;
    if (op == VDE_VOLUME_OP_WRITE) {
        one->stamp = new_stamp(w, one->count);
        fill(one->bytes, one->count, one->stamp);
    }
    if (op == VDE_VOLUME_OP_READ || op == VDE_VOLUME_OP_WRITE)
        one->request.buffer = one->bytes;
    trace(w, "  submit op %u to %u: %llu + %llu stamp %llu", op, volume->name, (unsigned long long)one->sector,
          (unsigned long long)one->count, (unsigned long long)one->stamp);
}

static unsigned reap(struct world *w)
{
    struct vde_volume_request *back[BATCH_MAX];
    uint32_t count = 0;
    memset(back, 0, sizeof back);
    OK(vde_volume_reap(w->queue, back, BATCH_MAX, true, &count));
    REQUIRE(count > 0 && count <= BATCH_MAX);
    for (unsigned i = 0; i < count; i++)
        if (back[i]) /* else it was called back */
            ((struct one *)back[i]->context)->done = true;
    return count;
}

void step_batch(struct world *w)
{
    struct one ones[BATCH_MAX];
    unsigned count = 0, wanted = 2 + (unsigned)pick(w, BATCH_MAX - 1), first = some_volume(w);
    bool one_volume = pick(w, 2);
    memset(ones, 0, sizeof ones);
    if (first == VOLUMES)
        return;
    trace(w, "batch of up to %u", wanted);
    for (unsigned tries = 0; tries < 3 * wanted && count < wanted; tries++) {
        struct one *one = &ones[count];
        one->slot = one_volume ? first : some_volume(w);
        some_range(w, &w->now.volumes[one->slot].now, WHOLE_SECTORS, &one->sector, &one->count);
        if (overlaps(ones, count, one))
            continue;
        prepare(w, one);
        OK(vde_volume_submit(w->queue, &one->request));
        if (one->request.op == VDE_VOLUME_OP_WRITE) /* it was copied */
            memset(one->bytes, 0xdd, one->count * STAMP_BYTES);
        count++;
    }
    for (unsigned reaped = 0; reaped < count;)
        reaped += reap(w);
    for (unsigned i = 0; i < count; i++)
        settle(w, &ones[i]);
    w->operations += count;
}
