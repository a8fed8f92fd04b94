/* SPDX-License-Identifier: Apache-2.0 */
/* A small image with every structure in it, damaged: each byte of its metadata flipped once (some bytes of
 * data and of what is left over from earlier), each block
 * replaced by zeroes, garbage, an older one or one of another image; cut off short; and images of something else. Reading
 * must say CORRUPT or show exactly what was there.
 * ctest: timeout=900 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine_model.h"
#include "engine_subject.h"
#include "io/simulated.h"
#include "support.h"

#define BLOCK 4096u
#define JOBS 2u
#define DATA_STRIDE 127u  /* of bytes that are no metadata */
#define WRITE_STRIDE 251u /* of all bytes: also opened for writing */

static const struct subject *const subject = &engine_subject;

struct totals {
    uint64_t tried, detected, harmless, violations, writable;
};
static struct totals *totals; /* of this process */

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, vde_last_error()->text);
    exit(99);
}

static void violation(const char *damage, uint64_t offset, const char *what, const char *why)
{
    if (++totals->violations <= 20)
        fprintf(stderr, "VIOLATION %s at byte %llu (block %llu + %llu): %s: %s\n", damage, (unsigned long long)offset,
                (unsigned long long)(offset / BLOCK), (unsigned long long)(offset % BLOCK), what, why);
}

/* Run the whole workload and leave the image as a killed process does. The last acknowledged record has no later one that
 * vouches for it, so it is a probe, which the model does not hold. */
static struct vde_device *make_image(uint64_t seed, struct engine_model *model)
{
    struct vde_device *device, *image;
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    opts.env = &explore_env;
    void *handle;
    if (simulated_create(subject->image_bytes, seed, 0, &device) != VDE_OK ||
        vde_image_format_device(device, &opts) != VDE_OK || subject->open(device, &handle) != VDE_OK ||
        subject->setup(handle, model) != VDE_OK)
        die("base image");
    for (unsigned step = 0; step < engine_workload_length; step++)
        if (subject->enabled(model, engine_workload[step]) &&
            subject->apply(&handle, device, model, engine_workload[step], step) != VDE_OK)
            die("workload");
    if (subject->probe(handle, 1) != VDE_OK || simulated_clone(device, &image) != VDE_OK ||
        simulated_power_cycle(image, SIMULATED_ALL, 1) != VDE_OK)
        die("image");
    if (subject->close(handle) != VDE_OK)
        die("close");
    device->ops->close(device);
    return image;
}

static vde_status open_for_reading(struct vde_device *device, vde_image **ret_image)
{
    struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
    opts.flags = VDE_OPEN_READ_ONLY;
    opts.memory_bytes = 1 << 20;
    return vde_image_open_device(device, &opts, ret_image);
}

/* Whether what the damaged image shows is an error or right. */
static void verify_reading(struct vde_device *device, const struct engine_model *model, const char *damage,
                           uint64_t offset)
{
    char why[EXPLORE_WHY];
    vde_image *image;
    totals->tried++;
    vde_status status = open_for_reading(device, &image);
    if (status != VDE_OK) {
        if (status != VDE_CORRUPT && status != VDE_UNSUPPORTED)
            violation(damage, offset, "open", vde_last_error()->text);
        totals->detected++;
        return;
    }
    if (engine_matches(image, model, why))
        totals->harmless++;
    else if (strncmp(why, "CORRUPT", 7) == 0)
        totals->detected++;
    else
        violation(damage, offset, "wrong data", why);
    if (vde_image_close(image) != VDE_OK)
        violation(damage, offset, "close", vde_last_error()->text);
}

/* Open for writing, which recovers: it must not make wrong data out of damage. Takes the device. */
static void verify_writing(struct vde_device *device, const struct engine_model *model, const char *damage,
                           uint64_t offset)
{
    char why[EXPLORE_WHY];
    void *handle;
    totals->writable++;
    vde_status status = subject->open(device, &handle);
    if (status == VDE_OK) {
        if (!subject->matches(handle, model, why) && strncmp(why, "CORRUPT", 7) != 0)
            violation(damage, offset, "wrong data when writable", why);
        status = subject->close(handle);
    }
    if (status != VDE_OK && status != VDE_CORRUPT && status != VDE_UNSUPPORTED && status != VDE_POISONED)
        violation(damage, offset, "writable", vde_last_error()->text);
    device->ops->close(device);
}

static void also_writing(struct vde_device *damaged, const struct engine_model *model, const char *damage,
                         uint64_t offset)
{
    struct vde_device *copy;
    if (simulated_clone(damaged, &copy) != VDE_OK)
        die("clone");
    verify_writing(copy, model, damage, offset);
}

/* --- bytes --------------------------------------------------------------------------------------------------------- */

enum content { NOTHING, METADATA, DATA };

static enum content content_of(struct vde_device *device, uint64_t block)
{
    static const uint8_t zeroes[BLOCK];
    static const char *const magics[] = {"VDElabel", "VDEfeats", "VDEsuper", "BMAP", "INDX", "FRME", "VNOD"};
    uint8_t bytes[BLOCK];
    simulated_peek(device, block * BLOCK, bytes, BLOCK);
    if (memcmp(bytes, zeroes, BLOCK) == 0)
        return NOTHING;
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (memcmp(bytes, magics[i], strlen(magics[i])) == 0)
            return METADATA;
    return DATA;
}

/* Whether anything depends on a block: if neither reader nor check miss it, it is left over from earlier. */
static bool is_alive(struct vde_device *image, const struct engine_model *model, uint64_t block)
{
    static const uint8_t zeroes[BLOCK];
    uint8_t saved[BLOCK];
    char why[EXPLORE_WHY];
    struct vde_check_summary summary;
    vde_image *opened;
    simulated_peek(image, block * BLOCK, saved, BLOCK);
    if (simulated_poke(image, block * BLOCK, zeroes, BLOCK) != VDE_OK)
        die("poke");
    bool alive = vde_check_device(image, NULL, &summary) != VDE_OK || summary.findings != 0;
    if (open_for_reading(image, &opened) != VDE_OK) {
        alive = true;
    } else {
        alive |= !engine_matches(opened, model, why);
        if (vde_image_close(opened) != VDE_OK)
            alive = true;
    }
    if (simulated_poke(image, block * BLOCK, saved, BLOCK) != VDE_OK)
        die("poke");
    return alive;
}

static void flip_bytes(struct vde_device *image, const struct engine_model *model, unsigned job)
{
    uint64_t blocks = subject->image_bytes / BLOCK;
    for (uint64_t block = 0; block < blocks; block++) {
        enum content content = content_of(image, block);
        if (content == NOTHING || block % JOBS != job)
            continue;
        if (content == METADATA && !is_alive(image, model, block))
            content = DATA; /* some bytes will do */
        for (uint64_t at = content == DATA ? block % DATA_STRIDE : 0; at < BLOCK; at += content == DATA ? DATA_STRIDE : 1) {
            uint64_t offset = block * BLOCK + at;
            if (simulated_flip_bit(image, offset, (unsigned)(offset % 8)) != VDE_OK)
                die("flip");
            verify_reading(image, model, "bit flipped", offset);
            if (offset % WRITE_STRIDE == 0)
                also_writing(image, model, "bit flipped", offset);
            if (simulated_flip_bit(image, offset, (unsigned)(offset % 8)) != VDE_OK)
                die("flip");
        }
    }
}

/* --- blocks -------------------------------------------------------------------------------------------------------- */

static void replace_block(struct vde_device *image, const struct engine_model *model, uint64_t block,
                          const uint8_t *content, const char *damage)
{
    uint8_t saved[BLOCK];
    simulated_peek(image, block * BLOCK, saved, BLOCK);
    if (memcmp(saved, content, BLOCK) == 0)
        return;
    if (simulated_poke(image, block * BLOCK, content, BLOCK) != VDE_OK)
        die("poke");
    verify_reading(image, model, damage, block * BLOCK);
    also_writing(image, model, damage, block * BLOCK);
    if (simulated_poke(image, block * BLOCK, saved, BLOCK) != VDE_OK)
        die("poke");
}

static void replace_blocks(struct vde_device *image, const struct engine_model *model, struct vde_device *older,
                           struct vde_device *foreign)
{
    uint64_t blocks = subject->image_bytes / BLOCK;
    uint8_t content[BLOCK];
    for (uint64_t block = 0; block < blocks; block++) {
        if (content_of(image, block) == NOTHING)
            continue;
        memset(content, 0, BLOCK);
        replace_block(image, model, block, content, "block zeroed");
        fill_bytes(content, BLOCK, block + 1);
        replace_block(image, model, block, content, "block of garbage");
        simulated_peek(older, block * BLOCK, content, BLOCK);
        replace_block(image, model, block, content, "older block");
        simulated_peek(foreign, block * BLOCK, content, BLOCK);
        replace_block(image, model, block, content, "block of another image");
        simulated_peek(image, (block * 7 + 1) % blocks * BLOCK, content, BLOCK);
        replace_block(image, model, block, content, "block of another place");
    }
}

/* --- whole images -------------------------------------------------------------------------------------------------- */

static void refused(struct vde_device *device, const char *what)
{
    vde_image *image;
    struct vde_check_summary summary;
    totals->tried++;
    for (unsigned flags = 0; flags <= VDE_OPEN_READ_ONLY; flags++) {
        struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
        opts.flags = VDE_OPEN_NO_THREADS | flags;
        vde_status status = vde_image_open_device(device, &opts, &image);
        if (status != VDE_CORRUPT && status != VDE_UNSUPPORTED && status != VDE_INVAL)
            violation(what, 0, "open", vde_last_error()->text);
        if (status == VDE_OK)
            (void)vde_image_close(image);
    }
    if (vde_check_device(device, NULL, &summary) != VDE_OK || summary.findings == 0)
        violation(what, 0, "check", "no finding");
    totals->detected++;
    device->ops->close(device);
}

static void truncated(struct vde_device *image)
{
    static const uint64_t sizes[] = {4096,    8 * 4096,  9 * 4096,   10 * 4096,   17 * 4096, 40 * 4096,
                                     1 << 18, 1u << 20, 3u << 20, (4u << 20) - 4096};
    uint8_t *bytes = malloc(subject->image_bytes);
    simulated_peek(image, 0, bytes, subject->image_bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct vde_device *device;
        char what[64];
        snprintf(what, sizeof what, "image of %llu bytes", (unsigned long long)sizes[i]);
        if (simulated_create(sizes[i], 1, 0, &device) != VDE_OK ||
            simulated_poke(device, 0, bytes, sizes[i]) != VDE_OK)
            die("truncated");
        refused(device, what);
    }
    free(bytes);
}

static void foreign_images(void)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct vde_device *device;
        static uint8_t bytes[1 << 20];
        static const char *const names[] = {"zeroes", "garbage", "ones", "an ext4 file system"};
        memset(bytes, kind == 2 ? 0xff : 0, sizeof bytes);
        if (kind == 1)
            fill_bytes(bytes, sizeof bytes, 5);
        if (kind == 3)
            bytes[1080] = 0x53, bytes[1081] = 0xef;
        if (simulated_create(subject->image_bytes, 1, 0, &device) != VDE_OK ||
            simulated_poke(device, 0, bytes, sizeof bytes) != VDE_OK)
            die("foreign");
        refused(device, names[kind]);
    }
}

static void work(unsigned job)
{
    struct engine_model model, older_model, foreign_model;
    struct vde_device *image = make_image(9, &model), *older = make_image(9, &older_model);
    struct vde_device *foreign = make_image(10, &foreign_model);
    void *handle;
    /* The older one: opened again, so that its blocks are of another life of the image. */
    if (subject->open(older, &handle) != VDE_OK || subject->close(handle) != VDE_OK)
        die("older image");
    if (job == 0) {
        replace_blocks(image, &model, older, foreign);
        truncated(image);
        foreign_images();
    }
    flip_bytes(image, &model, job);
    verify_writing(image, &model, "nothing", 0);
    older->ops->close(older);
    foreign->ops->close(foreign);
}

int main(void)
{
    struct totals *all = mmap(NULL, JOBS * sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct totals sum = {0, 0, 0, 0, 0};
    bool broken = false;
    for (unsigned job = 0; job < JOBS; job++)
        if (fork() == 0) {
            totals = &all[job];
            work(job);
            exit(0);
        }
    for (int status; wait(&status) > 0;)
        broken |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    for (unsigned job = 0; job < JOBS; job++) {
        sum.tried += all[job].tried;
        sum.detected += all[job].detected;
        sum.harmless += all[job].harmless;
        sum.writable += all[job].writable;
        sum.violations += all[job].violations;
    }
    printf("%llu damaged images read: %llu detected, %llu harmless; %llu of them opened for writing; %llu violations\n",
           (unsigned long long)sum.tried, (unsigned long long)sum.detected, (unsigned long long)sum.harmless,
           (unsigned long long)sum.writable, (unsigned long long)sum.violations);
    return sum.violations || broken || sum.detected == 0 || sum.harmless == 0;
}
