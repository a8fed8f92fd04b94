/* SPDX-License-Identifier: Apache-2.0 */
/* test_blocks_model.c -- random writes, frames and unmaps of a volume, with checkpoints, snapshots, reopening and power cuts,
 * against a plain array. Every lookup must say what the array says, whatever overlays and trees hold; in the end all space
 * comes back. Prints the seed that fails.
 *
 *   test_blocks_model [first seed] [seeds] [steps] */
#include "base/checked.h"
#include "unit/pool/blocks.h"

#define BLOCKS 1536u
#define SNAPSHOTS_MAX 5u

struct fact {
    bool data, compressed;
    uint8_t index;        /* in the frame */
    uint32_t stored, tail;
    uint64_t address, stamp; /* plain: of the block; compressed: of the frame */
};

struct kept {
    uint64_t tag;
    struct fact *facts;
};

struct world {
    uint64_t random, seed, stamp, tag, volume, free_at_first;
    struct vde_device *device;
    vde_image *image;
    struct fact *facts, *before; /* now, and before the transaction */
    unsigned full;               /* times that there was no space */
    struct kept kept[SNAPSHOTS_MAX];
    unsigned kept_count;
};

static uint64_t below(struct world *w, uint64_t limit)
{
    w->random += 0x9e3779b97f4a7c15u;
    uint64_t x = w->random;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) % limit;
}

static void fail(const struct world *w, const char *what, uint64_t block, uint64_t tag)
{
    fprintf(stderr, "seed %llu: snapshot %llu block %llu: %s\n", (unsigned long long)w->seed, (unsigned long long)tag,
            (unsigned long long)block, what);
    abort();
}

/* --- changes ------------------------------------------------------------------------------------------------------ */

/* Frames are changed as a whole. */
static void widen(const struct world *w, uint64_t *begin, uint64_t *end)
{
    if (w->facts[*begin].compressed)
        *begin -= *begin % RUN_FRAME_BLOCKS;
    if (w->facts[*end - 1].compressed)
        *end = round_up(*end, RUN_FRAME_BLOCKS);
}

static bool write_plain(struct world *w, vde_txn *txn, uint64_t begin, uint64_t end)
{
    widen(w, &begin, &end);
    while (begin < end) {
        uint32_t blocks = (uint32_t)min_u64(end - begin, 1 + below(w, RUN_BLOCKS_MAX));
        uint64_t address = put_run(txn, w->volume, begin, blocks, w->stamp);
        if (address == 0)
            return false;
        for (uint32_t i = 0; i < blocks; i++)
            w->facts[begin + i] = (struct fact){.data = true, .address = address + i, .stamp = w->stamp + i};
        w->stamp += blocks;
        begin += blocks;
    }
    return true;
}

static bool write_frame(struct world *w, vde_txn *txn)
{
    uint64_t block = below(w, BLOCKS / RUN_FRAME_BLOCKS) * RUN_FRAME_BLOCKS;
    struct block_run run = put_frame(txn, w->volume, block, (uint32_t)below(w, RUN_FRAME_BLOCKS - 1), w->stamp);
    if (run.address == 0)
        return false;
    for (uint32_t i = 0; i < RUN_FRAME_BLOCKS; i++)
        w->facts[block + i] = (struct fact){true, true, (uint8_t)i, run.stored, run.tail, run.address, w->stamp};
    w->stamp += RUN_FRAME_BLOCKS;
    return true;
}

static void unmap_range(struct world *w, vde_txn *txn, uint64_t begin, uint64_t end)
{
    widen(w, &begin, &end);
    OK(txn_unmap(txn, w->volume, begin, end - begin));
    for (; begin < end; begin++)
        w->facts[begin] = (struct fact){0};
}

static void delete_snapshot(struct world *w);

/* The image is full: nothing of the transaction happened, and what can be given up is. */
static void make_room(struct world *w)
{
    w->full++;
    if (w->kept_count > 0) {
        delete_snapshot(w);
    } else {
        vde_txn *txn = begin(w->image);
        uint64_t at = below(w, BLOCKS - 300);
        unmap_range(w, txn, at, at + 300);
        commit(txn);
    }
    OK(vde_image_checkpoint(w->image));
    OK(vde_image_checkpoint(w->image));
}

static bool build(struct world *w, vde_txn *txn)
{
    for (uint64_t n = 1 + below(w, 4); n > 0; n--) {
        uint64_t kind = below(w, 10);
        uint64_t blocks = kind < 4 ? 1 : 1 + below(w, below(w, 8) == 0 ? 300 : 40);
        uint64_t at = below(w, BLOCKS - blocks + 1);
        if (kind == 9)
            unmap_range(w, txn, at, at + blocks);
        else if (!(kind == 8 ? write_frame(w, txn) : write_plain(w, txn, at, at + blocks)))
            return false;
    }
    return true;
}

static void change(struct world *w)
{
    vde_txn *txn = begin(w->image);
    struct vde_commit done;
    memcpy(w->before, w->facts, BLOCKS * sizeof *w->facts);
    vde_status status = build(w, txn) ? vde_txn_submit(txn, &done) : VDE_NOSPC;
    if (status == VDE_OK && below(w, 3) == 0)
        status = vde_image_wait(w->image, done.lsn);
    vde_txn_destroy(txn);
    if (status == VDE_NOSPC) {
        memcpy(w->facts, w->before, BLOCKS * sizeof *w->facts);
        make_room(w);
        return;
    }
    OK(status);
}

static void take_snapshot(struct world *w)
{
    if (w->kept_count == SNAPSHOTS_MAX)
        return;
    struct kept *kept = &w->kept[w->kept_count++];
    kept->tag = ++w->tag;
    kept->facts = malloc(BLOCKS * sizeof *kept->facts);
    REQUIRE(kept->facts);
    memcpy(kept->facts, w->facts, BLOCKS * sizeof *kept->facts);
    snapshot(w->image, w->volume, kept->tag);
}

static void delete_snapshot(struct world *w)
{
    if (w->kept_count == 0)
        return;
    unsigned i = (unsigned)below(w, w->kept_count);
    unsnapshot(w->image, w->volume, w->kept[i].tag);
    free(w->kept[i].facts);
    w->kept[i] = w->kept[--w->kept_count];
}

static void reopen_after(struct world *w, bool cut)
{
    if (cut) { /* everything was written, so everything is replayed */
        OK(vde_image_wait(w->image, log_last_lsn(w->image->log)));
        struct vde_device *copy = copy_device(w->device);
        OK(vde_image_close(w->image));
        close_device(w->device);
        w->device = copy;
    } else {
        OK(vde_image_close(w->image));
        check_clean(w->device);
    }
    w->image = open_quiet(w->device);
}

/* --- what must hold ----------------------------------------------------------------------------------------------- */

static const char *compare(const struct world *w, const struct segment *seg, uint64_t i, const struct fact *f, bool read)
{
    if (seg->data != f->data)
        return f->data ? "a hole instead of data" : "data instead of a hole";
    if (!f->data)
        return NULL;
    if (seg->compressed != f->compressed)
        return "the wrong kind of data";
    if (f->compressed && (seg->address != f->address || seg->stored != f->stored || seg->tail != f->tail ||
                          seg->frame != seg->block + i - f->index))
        return "another frame";
    if (!f->compressed && seg->address + i != f->address)
        return "another address";
    if (!f->compressed && read && !block_holds(w->image, f->address, seg->checksums[i], f->stamp))
        return "other bytes, or a wrong checksum";
    return NULL;
}

static void look(struct world *w, struct blocks_view *v, const struct fact *facts, uint64_t tag, uint64_t block,
                 uint64_t end, uint64_t *ret_next)
{
    struct segment seg;
    OK(block_cursor_at(v->cursor, block, end, &seg));
    if (seg.block != block || seg.blocks == 0 || seg.blocks > end - block ||
        (seg.data && seg.blocks > RUN_BLOCKS_MAX))
        fail(w, "a segment of the wrong size", block, tag);
    for (uint64_t i = 0; i < seg.blocks; i++) {
        const char *wrong = compare(w, &seg, i, &facts[block + i], i == 0);
        if (wrong)
            fail(w, wrong, block + i, tag);
    }
    if (!seg.data && block + seg.blocks < end && !facts[block + seg.blocks].data)
        fail(w, "a hole that ends too early", block + seg.blocks, tag);
    *ret_next = block + seg.blocks;
}

static void verify_state(struct world *w, const struct fact *facts, uint64_t tag)
{
    struct blocks_view v = blocks_of(w->image, w->volume, tag);
    uint64_t next;
    for (uint64_t at = 0; at < BLOCKS; at = next)
        look(w, &v, facts, tag, at, BLOCKS, &next);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t at = below(w, BLOCKS);
        look(w, &v, facts, tag, at, at + 1 + below(w, BLOCKS - at), &next);
    }
    blocks_close(&v);
}

/* --- differences -------------------------------------------------------------------------------------------------- */

struct diff_check {
    struct world *w;
    const struct fact *from, *to;
    uint64_t at; /* everything before was checked */
    struct block_difference last;
};

static bool same_fact(const struct fact *a, const struct fact *b)
{
    return a->data == b->data && (!a->data || (a->address == b->address && a->compressed == b->compressed));
}

static vde_status check_difference(void *context, const struct block_difference *d)
{
    static const struct fact hole;
    struct diff_check *c = context;
    if (d->block < c->at || d->blocks == 0 || d->block + d->blocks > BLOCKS)
        fail(c->w, "a difference out of order", d->block, 0);
    if (c->last.blocks > 0 && c->last.block + c->last.blocks == d->block && c->last.from_data == d->from_data &&
        c->last.to_data == d->to_data)
        fail(c->w, "two differences that are one", d->block, 0);
    for (; c->at < d->block; c->at++)
        if (!same_fact(c->from ? &c->from[c->at] : &hole, &c->to[c->at]))
            fail(c->w, "a difference that was not told", c->at, 0);
    for (; c->at < d->block + d->blocks; c->at++) {
        const struct fact *from = c->from ? &c->from[c->at] : &hole;
        if (same_fact(from, &c->to[c->at]) || from->data != d->from_data || c->to[c->at].data != d->to_data)
            fail(c->w, "a wrong difference", c->at, 0);
    }
    c->last = *d;
    return VDE_OK;
}

static void verify_diff(struct world *w)
{
    struct diff_check c = {.w = w};
    struct blocks_view v[2];
    uint64_t tags[2] = {0};
    const struct fact *facts[2] = {w->facts, w->facts};
    for (unsigned i = 0; i < 2; i++) {
        unsigned which = (unsigned)below(w, w->kept_count + 1);
        if (which < w->kept_count) {
            tags[i] = w->kept[which].tag;
            facts[i] = w->kept[which].facts;
        }
        v[i] = blocks_of(w->image, w->volume, tags[i]);
    }
    bool nothing = below(w, 4) == 0;
    c.from = nothing ? NULL : facts[0];
    c.to = facts[1];
    OK(blocks_diff(nothing ? NULL : &v[0].map, &v[1].map, check_difference, &c));
    for (; c.at < BLOCKS; c.at++)
        if (c.from ? !same_fact(&c.from[c.at], &c.to[c.at]) : c.to[c.at].data)
            fail(w, "a difference that was not told", c.at, tags[1]);
    blocks_close(&v[0]);
    blocks_close(&v[1]);
}

static void verify(struct world *w)
{
    verify_state(w, w->facts, 0);
    for (unsigned i = 0; i < w->kept_count; i++)
        verify_state(w, w->kept[i].facts, w->kept[i].tag);
    for (unsigned i = 0; i < 4; i++)
        verify_diff(w);
}

static void start(struct world *w)
{
    w->device = memory_image(w->seed % 3 == 0 ? 16 * MIB : 96 * MIB);
    w->image = open_quiet(w->device);
    w->facts = calloc(BLOCKS, sizeof *w->facts);
    w->before = calloc(BLOCKS, sizeof *w->before);
    REQUIRE(w->facts && w->before);
    w->volume = new_volume(w->image);
    OK(vde_image_checkpoint(w->image));
    OK(vde_image_checkpoint(w->image));
    w->free_at_first = info_of(w->image).free_bytes;
}

/* Everything unmapped and no snapshot left: all space comes back. */
static void finish(struct world *w)
{
    while (w->kept_count > 0)
        delete_snapshot(w);
    unmap(w->image, w->volume, 0, BLOCKS);
    for (unsigned i = 0; i < 8; i++)
        OK(vde_image_checkpoint(w->image));
    if (info_of(w->image).free_bytes != w->free_at_first) {
        fprintf(stderr, "seed %llu: %llu bytes free, %llu at first\n", (unsigned long long)w->seed,
                (unsigned long long)info_of(w->image).free_bytes, (unsigned long long)w->free_at_first);
        abort();
    }
    close_clean(w->image, w->device);
    free(w->facts);
    free(w->before);
}

static void run(uint64_t seed, unsigned steps)
{
    struct world w = {.random = seed, .seed = seed, .stamp = 1};
    start(&w);
    for (unsigned i = 0; i < steps; i++) {
        uint64_t what = below(&w, 40);
        if (what < 28)
            change(&w);
        else if (what < 32)
            OK(vde_image_checkpoint(w.image));
        else if (what < 34)
            take_snapshot(&w);
        else if (what < 35)
            delete_snapshot(&w);
        else if (what < 36)
            reopen_after(&w, below(&w, 2));
        else
            verify(&w);
    }
    verify(&w);
    if (seed % 3 == 0)
        REQUIRE(w.full > 0);
    finish(&w);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : 12;
    unsigned steps = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 300;
    for (uint64_t seed = first; seed < first + seeds; seed++)
        run(seed, steps);
    printf("%llu seeds of %u steps\n", (unsigned long long)seeds, steps);
    return 0;
}
