/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots under load. Eight threads write numbered records to a volume, four of them whole blocks (two through queues) and
 * four single sectors of blocks that they share; others make, read and delete snapshots, clones and snapshots of the image,
 * and checkpoints, meanwhile. Each snapshot must show one instant: of every writer the first records without a gap, at least
 * those completed before the snapshot began and at least those that records in it say they have seen.
 * Argument: seconds (10). */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include <vde/snapshot.h>
#include <vde/volume.h>

#include "unit/pool/engine.h"

#define WRITERS 8u
#define BLOCK_WRITERS 4u           /* the first ones write whole blocks, numbers 0 and 1 through queues */
#define SLOTS 24u                  /* records of a writer that are there at a time */
#define BLOCK 4096u
#define SECTOR 512u
#define SHARED_AREA (BLOCK_WRITERS * SLOTS * BLOCK)
#define AREA (SHARED_AREA + SLOTS * BLOCK)
#define KEPT 4u

struct record {
    uint64_t magic, writer, number; /* numbers start at 1 */
    uint64_t seen[WRITERS];         /* completed by each writer before this one was submitted */
    uint64_t sum;
};

struct shared {
    vde_image *image;
    struct vde_device *device;
    const char *name;
    atomic_bool stop;
    atomic_uint_least64_t submitted[WRITERS], completed[WRITERS];
    atomic_uint_least64_t counts[6];
};

struct worker {
    struct shared *shared;
    unsigned number;
    uint64_t random;
    pthread_t thread;
};

enum { WRITES, SNAPSHOTS, CLONES, IMAGES, CHECKPOINTS, READS };

static uint64_t sum_of(const struct record *r)
{
    uint64_t sum = r->magic ^ r->writer * 31 ^ r->number * 1000003;
    for (unsigned i = 0; i < WRITERS; i++)
        sum = sum * 0x9e3779b97f4a7c15u + r->seen[i];
    return sum;
}

static uint64_t place(unsigned writer, uint64_t number)
{
    uint64_t slot = number % SLOTS;
    return writer < BLOCK_WRITERS ? (slot * BLOCK_WRITERS + writer) * BLOCK
                                  : SHARED_AREA + slot * BLOCK + (writer - BLOCK_WRITERS) * SECTOR;
}

static vde_status through_queue(vde_volume_queue *queue, vde_volume *volume, void *bytes, uint64_t size, uint64_t offset,
                                uint32_t flags)
{
    struct vde_volume_request request = {.volume = volume, .op = VDE_VOLUME_OP_WRITE, .flags = (uint8_t)flags,
                                         .buffer = bytes, .size = size, .offset = offset};
    struct vde_volume_request *back = NULL;
    uint32_t count = 0;
    OK(vde_volume_submit(queue, &request));
    OK(vde_volume_reap(queue, &back, 1, true, &count));
    REQUIRE(count == 1 && back == &request);
    return request.status;
}

static void *write_records(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    uint32_t size = w->number < BLOCK_WRITERS ? BLOCK : SECTOR;
    uint8_t *bytes = aligned_buffer(BLOCK);
    vde_volume *volume;
    vde_volume_queue *queue = NULL;
    OK(vde_volume_open(s->image, s->name, NULL, &volume));
    if (w->number < 2)
        OK(vde_volume_queue_create(s->image, 4, &queue));
    for (uint64_t n = 1; !atomic_load(&s->stop);) {
        struct record record = {.magic = 0x7265636f7264, .writer = w->number, .number = n};
        for (unsigned i = 0; i < WRITERS; i++)
            record.seen[i] = atomic_load(&s->completed[i]);
        record.sum = sum_of(&record);
        memset(bytes, (int)n, size);
        memcpy(bytes, &record, sizeof record);
        memcpy(bytes + size - sizeof record, &record, sizeof record);
        atomic_store(&s->submitted[w->number], n);
        uint32_t flags = n % 64 == 0 ? VDE_VOLUME_FUA : 0;
        vde_status status = queue ? through_queue(queue, volume, bytes, size, place(w->number, n), flags)
                                  : vde_volume_write(volume, bytes, size, place(w->number, n), flags);
        REQUIRE(status == VDE_OK || status == VDE_NOSPC);
        if (status == VDE_NOSPC) {
            usleep(1000);
            continue;
        }
        atomic_store(&s->completed[w->number], n++);
        atomic_fetch_add(&s->counts[WRITES], 1);
        if (n % 97 == 0)
            OK(vde_volume_flush(volume));
    }
    vde_volume_queue_destroy(queue);
    vde_volume_close(volume);
    free(bytes);
    return NULL;
}

static struct record record_at(const uint8_t *bytes, unsigned writer, uint64_t slot)
{
    struct record record, end;
    uint64_t at = place(writer, slot);
    memcpy(&record, bytes + at, sizeof record);
    memcpy(&end, bytes + at + (writer < BLOCK_WRITERS ? BLOCK : SECTOR) - sizeof end, sizeof end);
    REQUIRE(memcmp(&record, &end, sizeof end) == 0);
    if (record.magic == 0 && record.sum == 0)
        return record; /* not written yet */
    REQUIRE(record.sum == sum_of(&record) && record.writer == writer && record.number % SLOTS == slot);
    return record;
}

/* Numbers of each writer that an instant shows, without a gap. */
static void require_instant(const uint8_t *bytes, uint64_t newest[WRITERS])
{
    uint64_t seen[WRITERS] = {0};
    for (unsigned i = 0; i < WRITERS; i++) {
        newest[i] = 0;
        for (uint64_t slot = 0; slot < SLOTS; slot++) {
            struct record record = record_at(bytes, i, slot);
            newest[i] = record.number > newest[i] ? record.number : newest[i];
            for (unsigned j = 0; j < WRITERS; j++)
                seen[j] = record.seen[j] > seen[j] ? record.seen[j] : seen[j];
        }
        for (uint64_t back = 0; back < SLOTS && back < newest[i]; back++)
            REQUIRE(record_at(bytes, i, (newest[i] - back) % SLOTS).number == newest[i] - back);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        REQUIRE(newest[i] >= seen[i]);
}

static void load(struct shared *s, vde_image *image, const char *name, const char *snapshot, uint8_t *bytes)
{
    vde_volume *volume;
    OK(vde_volume_open(image, name ? name : s->name, snapshot, &volume));
    REQUIRE(vde_volume_size(volume) == AREA);
    OK(vde_volume_read(volume, bytes, AREA, 0));
    vde_volume_close(volume);
}

static void require_between(struct shared *s, const uint8_t *bytes, const uint64_t *completed)
{
    uint64_t newest[WRITERS];
    require_instant(bytes, newest);
    for (unsigned i = 0; i < WRITERS; i++)
        REQUIRE(newest[i] >= completed[i] && newest[i] <= atomic_load(&s->submitted[i]));
}

static void completed_now(struct shared *s, uint64_t ret_completed[WRITERS])
{
    for (unsigned i = 0; i < WRITERS; i++)
        ret_completed[i] = atomic_load(&s->completed[i]);
}

static uint64_t volume_id(vde_image *image, const char *name)
{
    struct vde_volume_info info;
    vde_view *view = view_of(image);
    OK(vde_volume_get(view, name, &info));
    vde_view_close(view);
    return info.id;
}

static vde_status add_up(void *context, const struct vde_diff_range *range)
{
    *(uint64_t *)context += range->size;
    return VDE_OK;
}

static void *make_snapshots(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    uint8_t *bytes = aligned_buffer(AREA), *again = aligned_buffer(AREA);
    uint64_t id = volume_id(s->image, s->name), made = 0, gone = 0, completed[WRITERS], lsn;
    char name[64], other[64];
    while (!atomic_load(&s->stop)) {
        snprintf(name, sizeof name, "by %u, %llu", w->number, (unsigned long long)made + 1);
        completed_now(s, completed);
        vde_status status = vde_snapshot_create(s->image, id, name, &lsn);
        REQUIRE(status == VDE_OK || status == VDE_NOSPC);
        if (status == VDE_OK) {
            made++;
            load(s, s->image, NULL, name, bytes);
            require_between(s, bytes, completed);
            usleep((useconds_t)(made % 7 * 1000));
            load(s, s->image, NULL, name, again);
            REQUIRE(memcmp(bytes, again, AREA) == 0);
        }
        if (made > gone + 1) {
            uint64_t size = 0;
            vde_view *view = view_of(s->image);
            snprintf(other, sizeof other, "by %u, %llu", w->number, (unsigned long long)made - 1);
            snprintf(name, sizeof name, "by %u, %llu", w->number, (unsigned long long)made);
            OK(vde_volume_diff(view, s->name, other, name, add_up, &size));
            REQUIRE(size <= AREA);
            vde_view_close(view);
        }
        for (; made - gone > KEPT || (status != VDE_OK && gone < made); gone++) {
            snprintf(name, sizeof name, "by %u, %llu", w->number, (unsigned long long)gone + 1);
            OK(vde_snapshot_delete(s->image, id, name));
        }
        atomic_fetch_add(&s->counts[SNAPSHOTS], 1);
    }
    free(bytes);
    free(again);
    return NULL;
}

/* A clone is what its snapshot is, takes writes of its own, and outlives the snapshot. */
static void *make_clones(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    uint8_t *bytes = aligned_buffer(AREA), *again = aligned_buffer(AREA);
    uint64_t id = volume_id(s->image, s->name), lsn;
    for (uint64_t n = 0; !atomic_load(&s->stop); n++) {
        vde_volume *clone;
        vde_status status = vde_snapshot_create(s->image, id, "for a clone", &lsn);
        if (status == VDE_OK) {
            load(s, s->image, NULL, "for a clone", bytes);
            status = vde_volume_clone(s->image, s->name, "for a clone", "clone");
            OK(vde_snapshot_delete(s->image, id, "for a clone"));
        }
        REQUIRE(status == VDE_OK || status == VDE_NOSPC);
        if (status != VDE_OK) {
            usleep(1000);
            continue;
        }
        load(s, s->image, "clone", NULL, again);
        REQUIRE(memcmp(bytes, again, AREA) == 0);
        OK(vde_volume_open(s->image, "clone", NULL, &clone));
        uint64_t at = n * 3 * SECTOR % (AREA - 5 * SECTOR);
        memset(bytes + at, 0x5a, 5 * SECTOR);
        status = vde_volume_write(clone, bytes + at, 5 * SECTOR, at, 0);
        REQUIRE(status == VDE_OK || status == VDE_NOSPC);
        vde_volume_close(clone);
        if (status == VDE_OK) {
            load(s, s->image, "clone", NULL, again);
            REQUIRE(memcmp(bytes, again, AREA) == 0);
        }
        OK(vde_volume_delete(s->image, "clone"));
        atomic_fetch_add(&s->counts[CLONES], 1);
    }
    free(bytes);
    free(again);
    return NULL;
}

static void *make_image_snapshots(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    uint64_t lsn;
    while (!atomic_load(&s->stop)) {
        vde_status status = vde_snapshot_create(s->image, VDE_DATASET_IMAGE, "instant", &lsn);
        REQUIRE(status == VDE_OK || status == VDE_NOSPC);
        usleep(20000);
        if (status == VDE_OK)
            OK(vde_snapshot_delete(s->image, VDE_DATASET_IMAGE, "instant"));
        atomic_fetch_add(&s->counts[IMAGES], 1);
    }
    return NULL;
}

static void *make_checkpoints(void *argument)
{
    struct worker *w = argument;
    while (!atomic_load(&w->shared->stop)) {
        OK(vde_image_checkpoint(w->shared->image));
        atomic_fetch_add(&w->shared->counts[CHECKPOINTS], 1);
        usleep(5000);
    }
    return NULL;
}

/* Of one read, what a writer completed before is there. */
static void *read_records(void *argument)
{
    struct worker *w = argument;
    struct shared *s = w->shared;
    uint8_t *bytes = aligned_buffer(AREA);
    uint64_t completed[WRITERS];
    while (!atomic_load(&s->stop)) {
        completed_now(s, completed);
        load(s, s->image, NULL, NULL, bytes);
        for (unsigned i = 0; i < WRITERS; i++)
            if (completed[i]) {
                struct record record = record_at(bytes, i, completed[i] % SLOTS);
                REQUIRE(record.number >= completed[i] && record.number <= atomic_load(&s->submitted[i]));
            }
        atomic_fetch_add(&s->counts[READS], 1);
    }
    free(bytes);
    return NULL;
}

/* After everything stopped: the image snapshot taken last, opened by itself, and the volume hold all there is. */
static void finish(struct shared *s)
{
    uint8_t *bytes = aligned_buffer(AREA);
    uint64_t completed[WRITERS], newest[WRITERS], lsn;
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    vde_image *then;
    completed_now(s, completed);
    OK(vde_snapshot_create(s->image, VDE_DATASET_IMAGE, "last", &lsn));
    s->image = reopen(s->image, s->device);
    opts.flags = VDE_OPEN_READ_ONLY;
    opts.snapshot = "last";
    OK(vde_image_open_device(s->device, &opts, &then));
    for (unsigned pass = 0; pass < 2; pass++) {
        load(s, pass ? then : s->image, NULL, NULL, bytes);
        require_instant(bytes, newest);
        REQUIRE(memcmp(newest, completed, sizeof newest) == 0);
    }
    OK(vde_image_close(then));
    free(bytes);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10;
    static const struct {
        void *(*run)(void *);
        unsigned count;
    } kinds[] = {{write_records, WRITERS}, {make_snapshots, 2}, {make_clones, 1},
                 {make_image_snapshots, 1}, {make_checkpoints, 1}, {read_records, 1}};
    static struct shared s = {.name = "records"};
    static struct worker workers[WRITERS + 6];
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    struct vde_volume_opts volume = VDE_VOLUME_OPTS_INIT;
    unsigned count = 0;
    s.device = memory_image(192 * MIB);
    opts.checkpoint_ms = 300;
    OK(vde_image_open_device(s.device, &opts, &s.image));
    volume.size_bytes = AREA;
    OK(vde_volume_create(s.image, s.name, &volume));
    for (unsigned k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (unsigned i = 0; i < kinds[k].count; i++, count++) {
            workers[count] = (struct worker){.shared = &s, .number = i};
            REQUIRE(pthread_create(&workers[count].thread, NULL, kinds[k].run, &workers[count]) == 0);
        }
    sleep(seconds);
    atomic_store(&s.stop, true);
    for (unsigned i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    finish(&s);
    close_clean(s.image, s.device);
    static const char *const names[] = {"writes", "snapshots", "clones", "image snapshots", "checkpoints", "reads"};
    for (unsigned i = 0; i < 6; i++) {
        printf("%llu %s%s", (unsigned long long)atomic_load(&s.counts[i]), names[i], i < 5 ? ", " : "\n");
        REQUIRE(atomic_load(&s.counts[i]) > 0);
    }
    return 0;
}
