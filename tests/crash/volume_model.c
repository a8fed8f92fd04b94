/* SPDX-License-Identifier: Apache-2.0 */
#include "volume_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "stamps.h"

void volume_model_name(unsigned volume, char ret_name[32])
{
    snprintf(ret_name, 32, "volume %u", volume);
}

void volume_model_snapshot(unsigned index, char ret_name[32])
{
    snprintf(ret_name, 32, "snapshot %u", index);
}

void volume_model_fill(void *sector, uint8_t stamp, unsigned number)
{
    stamp_fill(sector, stamp ? (stamp * 1000ull + number) * 2 + (stamp % 4 != 0) : 0);
}

static bool VDE_PRINTF(2, 3) differs(char why[VOLUME_WHY], const char *format, ...)
{
    va_list args;
    vde_status status = vde_last_error()->status;
    int used = snprintf(why, VOLUME_WHY, "%s", status == VDE_CORRUPT ? "CORRUPT: " : status == VDE_IO ? "IO: " : "");
    va_start(args, format);
    vsnprintf(why + used, VOLUME_WHY - (size_t)used, format, args);
    va_end(args);
    return false;
}

static bool bytes_match(const uint8_t *bytes, const struct volume_content *c, const char *object, char why[VOLUME_WHY])
{
    uint8_t expected[SECTOR];
    for (unsigned s = 0; s < c->sectors; s++) {
        volume_model_fill(expected, c->stamps[s], s);
        if (memcmp(bytes + s * SECTOR, expected, SECTOR) != 0) {
            uint64_t found = stamp_of(bytes + s * SECTOR) / 2;
            return differs(why, "%s: sector %u has stamp %llu of sector %llu; expected stamp %u", object, s,
                           (unsigned long long)found / 1000, (unsigned long long)found % 1000, c->stamps[s]);
        }
    }
    return true;
}

/* A read fails: the message names the volume, and when it is damaged, where. */
static bool blamed(const char *name, char why[VOLUME_WHY])
{
    const struct vde_error *error = vde_last_error();
    if (error->status == VDE_CORRUPT && !strstr(error->text, name) && !strstr(error->text, "node"))
        return differs(why, "nobody knows where: %s", error->text);
    return differs(why, "%s", error->text);
}

static bool content_matches(vde_image *image, unsigned volume, int snapshot, const struct volume_content *c,
                            char why[VOLUME_WHY])
{
    uint8_t bytes[VOLUME_SECTORS * SECTOR];
    char name[32], of[32] = "", object[80];
    vde_volume *handle;
    volume_model_name(volume, name);
    if (snapshot >= 0)
        volume_model_snapshot((unsigned)snapshot, of);
    snprintf(object, sizeof object, "%s@%s", name, of);
    vde_status status = vde_volume_open(image, name, snapshot >= 0 ? of : NULL, &handle);
    if (c->sectors == 0 || status != VDE_OK) {
        if (status == VDE_OK)
            vde_volume_close(handle);
        return (c->sectors == 0 && status == VDE_NOT_FOUND) ||
               differs(why, "%s: open: %s (%.200s); expected %u sectors", object, vde_status_name(status),
                       vde_last_error()->text, c->sectors);
    }
    bool good = vde_volume_size(handle) == c->sectors * SECTOR ||
                differs(why, "%s: %llu bytes; expected %u", object, (unsigned long long)vde_volume_size(handle),
                        c->sectors * SECTOR);
    memset(bytes, 0xee, sizeof bytes);
    if (good && (status = vde_volume_read(handle, bytes, c->sectors * SECTOR, 0)) != VDE_OK)
        good = blamed(name, why);
    good = good && bytes_match(bytes, c, object, why);
    vde_volume_close(handle);
    return good;
}

bool volume_state_matches(vde_image *image, const struct volume_state *state, char why[VOLUME_WHY])
{
    for (unsigned v = 0; v < VOLUMES; v++) {
        if (!content_matches(image, v, -1, &state->now[v], why))
            return false;
        for (unsigned s = 0; s < SNAPSHOTS && state->now[v].sectors; s++)
            if (!content_matches(image, v, (int)s, &state->snapshots[v][s], why))
                return false;
    }
    return true;
}

bool volumes_match(vde_image *image, struct vde_device *device, const struct volume_model *model, char why[VOLUME_WHY])
{
    vde_error_clear();
    if (!volume_state_matches(image, &model->now, why))
        return false;
    for (unsigned i = 0; i < IMAGES; i++) {
        struct vde_open_opts opts = VDE_OPEN_OPTS_INIT;
        vde_image *then;
        char name[32], inner[VOLUME_WHY];
        volume_model_snapshot(i, name);
        opts.flags = VDE_OPEN_READ_ONLY | VDE_OPEN_NO_THREADS;
        opts.memory_bytes = 1 << 20;
        opts.snapshot = name;
        vde_status status = vde_image_open_device(device, &opts, &then);
        if (status != VDE_OK) {
            if (!model->image_exists[i] && status == VDE_NOT_FOUND)
                continue;
            return differs(why, "image snapshot %u: %s", i, vde_last_error()->text);
        }
        bool good = model->image_exists[i] ? volume_state_matches(then, &model->images[i], inner)
                                           : differs(inner, "exists");
        if (vde_image_close(then) != VDE_OK)
            good = differs(inner, "close: %s", vde_last_error()->text);
        if (!good) {
            snprintf(why, VOLUME_WHY, "%.340s (image snapshot %u)", inner, i);
            return false;
        }
        vde_error_clear();
    }
    return true;
}
