/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of an image with volumes, snapshots and clones rot: a bit flips, a write was torn, lost or landed elsewhere. What is
 * read then is an error that says where, or right; the check finds whatever a reader stumbles over. And a reader who meets
 * the one bad block still gets all the others.
 *
 * usage: crash.volume_rot [bits for each block]
 * ctest: timeout=900 processors=1 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/simulated.h"
#include "stamps.h"
#include "volume_subject.h"

#define BLOCK 4096u

static const struct subject *const subject = &volume_subject;
static uint64_t violations, detected, harmless, alone;

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, vde_last_error()->text);
    exit(99);
}

static void violation(const char *damage, uint64_t block, const char *what, const char *why)
{
    if (++violations <= 20)
        fprintf(stderr, "VIOLATION %s of block %llu: %s: %s\n", damage, (unsigned long long)block, what, why);
}

/* An image in the middle of its life, everything in it acknowledged, and what it was before its last operations. */
static struct vde_device *make_image(struct volume_model *model, unsigned steps, struct vde_device **ret_older)
{
    struct vde_device *device, *image;
    struct vde_format_opts opts = VDE_FORMAT_OPTS_INIT;
    void *handle;
    opts.env = &explore_env;
    if (simulated_create(subject->image_bytes, 5, 0, &device) != VDE_OK ||
        vde_image_format_device(device, &opts) != VDE_OK || subject->open(device, &handle) != VDE_OK ||
        subject->setup(handle, model) != VDE_OK)
        die("base image");
    for (unsigned step = 0; step < steps; step++) {
        if (step == steps / 2 && simulated_clone(device, ret_older) != VDE_OK)
            die("older image");
        if (subject->enabled(model, volume_workload[step]) &&
            subject->apply(&handle, device, model, volume_workload[step], step) != VDE_OK)
            die("workload");
    }
    if (subject->apply(&handle, device, model, FLUSH, 0) != VDE_OK || subject->probe(handle, 1) != VDE_OK ||
        simulated_clone(device, &image) != VDE_OK || simulated_power_cycle(image, SIMULATED_ALL, 1) != VDE_OK ||
        simulated_power_cycle(*ret_older, SIMULATED_ALL, 1) != VDE_OK)
        die("image");
    if (subject->close(handle) != VDE_OK)
        die("close");
    device->ops->close(device);
    return image;
}

static bool check_clean(struct vde_device *device)
{
    struct vde_check_summary summary;
    return vde_check_device(device, NULL, &summary) == VDE_OK && summary.findings == 0;
}

/* Read a volume block by block: those that fail are counted, the others are right. */
static unsigned read_around(vde_image *image, const struct volume_model *m, unsigned volume, const char *damage,
                            uint64_t block)
{
    const struct volume_content *c = &m->now.now[volume];
    uint8_t bytes[BLOCK], expected[SECTOR];
    char name[32];
    unsigned bad = 0;
    vde_volume *opened;
    volume_model_name(volume, name);
    if (c->sectors == 0 || vde_volume_open(image, name, NULL, &opened) != VDE_OK)
        return 0;
    for (unsigned s = 0; s + 8 <= c->sectors; s += 8) {
        vde_status status = vde_volume_read(opened, bytes, BLOCK, (uint64_t)s * SECTOR);
        if (status != VDE_OK && status != VDE_CORRUPT)
            violation(damage, block, "reading around it", vde_last_error()->text);
        if (status != VDE_OK) {
            bad++;
            continue;
        }
        for (unsigned i = 0; i < 8; i++) {
            volume_model_fill(expected, c->stamps[s + i], s + i);
            if (memcmp(expected, bytes + i * SECTOR, SECTOR) != 0)
                violation(damage, block, "wrong data of", name);
        }
    }
    vde_volume_close(opened);
    return bad;
}

static void verify(struct vde_device *device, const struct volume_model *model, const char *damage, uint64_t block,
                   bool is_data)
{
    char why[EXPLORE_WHY];
    void *handle;
    bool clean = check_clean(device);
    vde_status status = subject->open_read(device, &handle);
    if (status != VDE_OK) {
        if (status != VDE_CORRUPT || is_data)
            violation(damage, block, "open", vde_last_error()->text);
        if (clean)
            violation(damage, block, "the check finds nothing", vde_last_error()->text);
        detected++;
        return;
    }
    if (subject->matches(handle, model, why)) {
        harmless++;
        if (is_data && clean)
            violation(damage, block, "nobody noticed", "data");
    } else if (strncmp(why, "CORRUPT", 7) != 0 || strstr(why, "nobody knows")) {
        violation(damage, block, "not an error that says where", why);
    } else {
        detected++;
        if (clean)
            violation(damage, block, "the check finds nothing", why);
    }
    for (unsigned v = 0; v < VOLUMES; v++) {
        unsigned bad = read_around(subject->image(handle), model, v, damage, block);
        alone += bad == 1;
        if (is_data && bad > (v == PACKED ? 16u : 1u))
            violation(damage, block, "took others with it", "blocks");
    }
    if (subject->close(handle) != VDE_OK)
        violation(damage, block, "close", vde_last_error()->text);
}

/* Whether it holds contents of a volume that somebody can read: nobody else's blocks begin with these stamps. */
static bool holds_data(const uint8_t *bytes, const struct volume_model *model)
{
    uint64_t stamp = stamp_of(bytes) / 2;
    return stamp / 1000 >= 1 && stamp / 1000 <= model->stamp && stamp % 1000 < VOLUME_SECTORS;
}

static void damage_block(struct vde_device *image, const struct volume_model *model, uint64_t block, const uint8_t *with,
                         const char *damage)
{
    uint8_t saved[BLOCK];
    simulated_peek(image, block * BLOCK, saved, BLOCK);
    if (memcmp(saved, with, BLOCK) == 0)
        return;
    if (simulated_poke(image, block * BLOCK, with, BLOCK) != VDE_OK)
        die("poke");
    verify(image, model, damage, block, false);
    if (simulated_poke(image, block * BLOCK, saved, BLOCK) != VDE_OK)
        die("poke");
}

/* Whether anything depends on a block. */
static bool is_alive(struct vde_device *image, uint64_t block)
{
    uint8_t saved[BLOCK], other[BLOCK];
    simulated_peek(image, block * BLOCK, saved, BLOCK);
    memset(other, 0xa5, sizeof other);
    if (simulated_poke(image, block * BLOCK, other, BLOCK) != VDE_OK)
        die("poke");
    bool alive = !check_clean(image);
    if (simulated_poke(image, block * BLOCK, saved, BLOCK) != VDE_OK)
        die("poke");
    return alive;
}

static void rot(struct vde_device *image, const struct volume_model *model, struct vde_device *older, unsigned bits)
{
    uint8_t bytes[BLOCK], other[BLOCK];
    uint64_t blocks = subject->image_bytes / BLOCK, alive = 0, data = 0;
    for (uint64_t block = 0; block < blocks; block++) {
        simulated_peek(image, block * BLOCK, bytes, BLOCK);
        bool is_data = holds_data(bytes, model);
        if (!is_alive(image, block))
            continue;
        alive++;
        data += is_data;
        for (unsigned i = 0; i < bits; i++) {
            uint64_t at = block * BLOCK + (i * 977 + block * 131) % BLOCK;
            if (simulated_flip_bit(image, at, i % 8) != VDE_OK)
                die("flip");
            verify(image, model, "a flipped bit", block, is_data);
            if (simulated_flip_bit(image, at, i % 8) != VDE_OK)
                die("flip");
        }
        simulated_peek(older, block * BLOCK, other, BLOCK);
        damage_block(image, model, block, other, "a lost write");
        memcpy(other, bytes, BLOCK / 2);
        damage_block(image, model, block, other, "a torn write");
        simulated_peek(image, (block + 1) % blocks * BLOCK, other, BLOCK);
        damage_block(image, model, block, other, "a misdirected write");
    }
    printf("%llu blocks in use, %llu of them data of volumes\n", (unsigned long long)alive, (unsigned long long)data);
    if (data < 20)
        violation("all", data, "too few", "blocks of data");
}

int main(int argc, char **argv)
{
    unsigned bits = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 8;
    static const unsigned steps[] = {8, 20, 27};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct volume_model *model = calloc(1, sizeof *model);
        struct vde_device *older, *image = make_image(model, steps[i], &older);
        char why[EXPLORE_WHY];
        void *handle;
        if (subject->open_read(image, &handle) != VDE_OK || !subject->matches(handle, model, why) ||
            subject->close(handle) != VDE_OK || !check_clean(image))
            die("the undamaged image");
        rot(image, model, older, bits);
        image->ops->close(image);
        older->ops->close(older);
        free(model);
    }
    printf("%llu damaged images detected, %llu harmless, %llu reads with one bad block; %llu violations\n",
           (unsigned long long)detected, (unsigned long long)harmless, (unsigned long long)alone,
           (unsigned long long)violations);
    return violations != 0 || detected == 0 || alone == 0;
}
