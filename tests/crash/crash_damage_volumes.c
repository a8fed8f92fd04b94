/* SPDX-License-Identifier: Apache-2.0 */
/* An image with volumes, snapshots of them and of the whole, clones, and things that wait to be freed, as a killed process
 * leaves it, damaged: bytes of each block of metadata flipped, a few of each block of data. Whatever is read then is what was
 * there, or an error that says CORRUPT; and a repair never makes it worse.
 *
 * usage: crash.damage_volumes [stride of bytes]    (1: every byte)
 * ctest: timeout=900 processors=2 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/check/rich_image.h"

#define JOBS 2u
#define STRIDE 199u
#define DATA_STRIDE 1021u
#define REPAIR_EACH 16u   /* of the damaged images, one in so many is repaired, too */
#define PART 65536u
#define PARTS_MAX 256u

struct part {
    size_t size; /* 0: there is none */
    uint64_t sum;
};
/* Everything that the image shows, in a fixed order. */
struct picture {
    struct part parts[PARTS_MAX];
    size_t count;
};
struct totals {
    uint64_t tried, detected, harmless, repaired, violations;
};
static struct totals *totals; /* of this process */

static void violation(const char *what, uint64_t offset, const char *why)
{
    if (++totals->violations <= 20)
        fprintf(stderr, "VIOLATION bit flipped at byte %llu (block %llu + %llu): %s: %s\n", (unsigned long long)offset,
                (unsigned long long)(offset / BLOCK_BYTES), (unsigned long long)(offset % BLOCK_BYTES), what, why);
}

/* --- what an image shows --------------------------------------------------------------------------------------------- */

struct look {
    struct picture *picture;     /* filled, or */
    const struct picture *good;  /* compared with */
    size_t at;
    uint64_t offset;             /* of the damage */
    bool damaged;
};

static uint64_t sum_of(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * 1099511628211u;
    return sum;
}

static void seen(struct look *look, vde_status status, const void *bytes, size_t size)
{
    size_t at = look->at++;
    REQUIRE(at < PARTS_MAX);
    if (look->picture) {
        OK(status);
        look->picture->parts[at] = (struct part){size, sum_of(bytes, size)};
        look->picture->count = look->at;
    } else if (status == VDE_CORRUPT || status == VDE_UNSUPPORTED) {
        look->damaged = true;
    } else if (status != VDE_OK) {
        violation("status", look->offset, vde_last_error()->text);
    } else if (look->good->parts[at].size != size || look->good->parts[at].sum != sum_of(bytes, size)) {
        violation("wrong data", look->offset, "what was read is not what was written");
    }
}

static void look_at_volume(struct look *look, vde_image *image, const char *name, const char *snapshot)
{
    static uint8_t bytes[PART];
    vde_volume *volume;
    vde_status status = vde_volume_open(image, name, snapshot, &volume);
    for (uint64_t at = 0; at < RICH_VOLUME_BYTES; at += PART) {
        vde_status got = status == VDE_OK ? vde_volume_read(volume, bytes, PART, at) : status;
        seen(look, got, bytes, PART);
    }
    if (status == VDE_OK)
        vde_volume_close(volume);
}

static void look_at_map(struct look *look, vde_view *view, uint64_t tag)
{
    vde_kv *kv;
    struct vde_bytes value = {NULL, 0};
    vde_status status = tag ? vde_kv_open_snapshot(view, 1000, tag, &kv) : vde_kv_open(view, 1000, &kv);
    if (status == VDE_OK) {
        status = vde_kv_get(kv, "key", 3, &value);
        vde_kv_close(kv);
    }
    seen(look, status, value.data, value.size);
    vde_bytes_free(&value);
}

static void look_at_stream(struct look *look, vde_view *view, uint64_t stream)
{
    vde_stream_cursor *cursor;
    struct vde_entry entry = {.data = ""};
    vde_status status = vde_stream_open(view, stream, 0, &cursor), opened = status;
    for (unsigned i = 0; i < 3; i++) {
        if (status == VDE_OK)
            status = vde_stream_next(cursor, &entry);
        seen(look, status, entry.data, status == VDE_OK ? entry.size : 0);
    }
    if (opened == VDE_OK)
        vde_stream_close(cursor);
}

static void look_at_records(struct look *look, vde_image *image)
{
    vde_view *view;
    OK(vde_view_open(image, &view));
    look_at_map(look, view, 0);
    look_at_map(look, view, 7);
    look_at_stream(look, view, 1001);
    look_at_stream(look, view, 1002);
    vde_view_close(view);
}

static vde_status open_at(struct vde_device *device, const char *snapshot, vde_image **ret_image)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.flags = VDE_OPEN_READ_ONLY;
    opts.memory_bytes = 1 << 20;
    opts.snapshot = snapshot;
    return vde_image_open_device(device, &opts, ret_image);
}

static void refuse_or_fail(struct look *look, vde_status status)
{
    look->damaged = true;
    if (status != VDE_CORRUPT && status != VDE_UNSUPPORTED)
        violation("open", look->offset, vde_last_error()->text);
}

static void look_at(struct look *look, struct vde_device *device)
{
    vde_image *image;
    vde_status status = open_at(device, NULL, &image);
    look->at = 0;
    if (status != VDE_OK) {
        refuse_or_fail(look, status);
        return;
    }
    look_at_volume(look, image, "disk", NULL);
    look_at_volume(look, image, "disk", "second");
    look_at_volume(look, image, "packed", NULL);
    look_at_volume(look, image, "copy", NULL);
    look_at_records(look, image);
    OK(vde_image_close(image));
    size_t before = look->at;
    status = open_at(device, "all", &image);
    if (status != VDE_OK) {
        refuse_or_fail(look, status);
        return;
    }
    look->at = before;
    look_at_volume(look, image, "disk", NULL);
    look_at_volume(look, image, "packed", NULL);
    look_at_volume(look, image, "gone", NULL);
    OK(vde_image_close(image));
}

/* --- damage ---------------------------------------------------------------------------------------------------------- */

/* The image as a killed process leaves it: records behind the checkpoint, the last of which nothing vouches for. */
static struct vde_device *make_image(void)
{
    struct vde_device *device = rich_image(), *killed;
    vde_image *image = open_quiet(device);
    rich_create(image, "probe", 0);
    rich_write(image, "disk", 20 * 1024, 200 * 1024, 20);
    rich_write(image, "packed", 70 * 1024, 200 * 1024, 21);
    rich_write(image, "copy", 4096, 0, 22);
    rich_write(image, "probe", 4096, 0, 23);
    OK(simulated_clone(device, &killed));
    OK(simulated_power_cycle(killed, SIMULATED_ALL, 1));
    OK(vde_image_close(image));
    close_device(device);
    return killed;
}

static void repair_and_look(struct vde_device *damaged, const struct picture *good, uint64_t offset)
{
    struct vde_device *copy;
    struct vde_repair_opts opts = VDE_REPAIR_OPTS_INIT;
    struct vde_repair_summary summary;
    struct look look = {.good = good, .offset = offset};
    opts.flags = VDE_REPAIR_APPLY;
    OK(simulated_clone(damaged, &copy));
    vde_status status = vde_repair_device(copy, &opts, &summary);
    if (status != VDE_OK && status != VDE_CORRUPT && status != VDE_UNSUPPORTED)
        violation("repair", offset, vde_last_error()->text);
    look_at(&look, copy);
    totals->repaired++;
    close_device(copy);
}

static void flip(struct vde_device *image, const struct picture *good, uint64_t offset)
{
    struct look look = {.good = good, .offset = offset};
    OK(simulated_flip_bit(image, offset, (unsigned)(offset % 8)));
    look_at(&look, image);
    totals->detected += look.damaged;
    totals->harmless += !look.damaged;
    if (totals->tried++ % REPAIR_EACH == 0)
        repair_and_look(image, good, offset);
    OK(simulated_flip_bit(image, offset, (unsigned)(offset % 8)));
}

static bool is_metadata(const uint8_t *bytes)
{
    static const char *const magics[] = {"VDElabel", "VDEfeats", "VDEsuper", "BMAP", "INDX", "FRME", "VNOD"};
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (memcmp(bytes, magics[i], strlen(magics[i])) == 0)
            return true;
    return false;
}

static void work(unsigned job, unsigned stride)
{
    static const uint8_t zeroes[BLOCK_BYTES];
    static struct picture good;
    struct vde_device *image = make_image();
    struct look look = {.picture = &good};
    look_at(&look, image);
    for (uint64_t block = job; block < RICH_BYTES / BLOCK_BYTES; block += JOBS) {
        uint8_t bytes[BLOCK_BYTES];
        simulated_peek(image, block * BLOCK_BYTES, bytes, BLOCK_BYTES);
        if (memcmp(bytes, zeroes, BLOCK_BYTES) == 0)
            continue;
        uint64_t step = is_metadata(bytes) ? stride : DATA_STRIDE;
        for (uint64_t at = block * 7 % step; at < BLOCK_BYTES; at += step)
            flip(image, &good, block * BLOCK_BYTES + at);
    }
    close_device(image);
}

int main(int argc, char **argv)
{
    struct totals *all = mmap(NULL, JOBS * sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct totals sum = {0, 0, 0, 0, 0};
    unsigned stride = argc > 1 && atoi(argv[1]) > 0 ? (unsigned)atoi(argv[1]) : STRIDE;
    bool broken = all == MAP_FAILED;
    for (unsigned job = 0; job < JOBS && !broken; job++)
        if (fork() == 0) {
            totals = &all[job];
            work(job, stride);
            exit(0);
        }
    for (int status; wait(&status) > 0;)
        broken |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    for (unsigned job = 0; job < JOBS && all != MAP_FAILED; job++) {
        sum.tried += all[job].tried;
        sum.detected += all[job].detected;
        sum.harmless += all[job].harmless;
        sum.repaired += all[job].repaired;
        sum.violations += all[job].violations;
    }
    printf("%llu damaged images read: %llu detected, %llu harmless; %llu of them repaired and read again; %llu violations\n",
           (unsigned long long)sum.tried, (unsigned long long)sum.detected, (unsigned long long)sum.harmless,
           (unsigned long long)sum.repaired, (unsigned long long)sum.violations);
    return broken || sum.violations || sum.tried < 1000 || sum.detected < 100;
}
