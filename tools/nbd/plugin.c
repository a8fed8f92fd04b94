/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c -- nbdkit vde: volumes and their snapshots as NBD exports. */
#include "nbd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define BLOCK_MIN 512u
#define BLOCK_PREFERRED 4096u
#define REQUEST_MAX (32u << 20)

#define TEXT_OF(number) #number
#define VERSION_OF(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

static struct nbd_server server = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- parameters ------------------------------------------------------------------------------------------------- */
static int set_once(char **place, const char *key, const char *value)
{
    if (*place)
        return nbd_refuse(EINVAL, "this parameter was given twice", key);
    if (!value[0])
        return nbd_refuse(EINVAL, "this parameter has no value", key);
    *place = strdup(value);
    return *place ? 0 : nbd_refuse(ENOMEM, "out of memory", NULL);
}

/* nbdkit changes to the root directory before the path is used. */
static int set_path(char **place, const char *key, const char *value)
{
    if (*place)
        return nbd_refuse(EINVAL, "this parameter was given twice", key);
    *place = nbdkit_absolute_path(value);
    return *place ? 0 : -1;
}

static int set_backend(const char *value)
{
    static const char *const known[] = {"auto", "uring", "aio", "sync"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(value, known[i]) == 0)
            return set_once(&server.backend, "io", value);
    return nbd_refuse(EINVAL, "io must be auto, uring, aio or sync, not", value);
}

static int set_memory(const char *value)
{
    int64_t size = nbdkit_parse_size(value);
    if (size < 0)
        return -1;
    if (size == 0)
        return nbd_refuse(EINVAL, "memory must be a size like 256M, not", value);
    server.memory_bytes = (uint64_t)size;
    return 0;
}

static int set_idle_defrag(const char *value)
{
    unsigned seconds;
    if (strcmp(value, "off") == 0) {
        server.idle_defrag_ms = VDE_IDLE_NEVER;
        return 0;
    }
    if (nbdkit_parse_unsigned("idle-defrag", value, &seconds) != 0)
        return -1;
    if (seconds == 0 || seconds > 86400)
        return nbd_refuse(EINVAL, "idle-defrag must be off or 1 to 86400 seconds, not", value);
    server.idle_defrag_ms = seconds * 1000u;
    return 0;
}

static int vde_config(const char *key, const char *value)
{
    if (strcmp(key, "image") == 0)
        return set_path(&server.image_path, key, value);
    if (strcmp(key, "volume") == 0)
        return set_once(&server.volume, key, value);
    if (strcmp(key, "snapshot") == 0)
        return set_once(&server.snapshot, key, value);
    if (strcmp(key, "io") == 0)
        return set_backend(value);
    if (strcmp(key, "memory") == 0)
        return set_memory(value);
    if (strcmp(key, "control") == 0)
        return set_path(&server.control_path, key, value);
    if (strcmp(key, "idle-defrag") == 0)
        return set_idle_defrag(value);
    return nbd_refuse(EINVAL, "unknown parameter; expected image, volume, snapshot, io, memory, control or idle-defrag, not",
                      key);
}

static int vde_config_complete(void)
{
    if (!server.image_path)
        return nbd_refuse(EINVAL, "which image? Expected image=PATH", NULL);
    if (server.snapshot && !server.volume)
        return nbd_refuse(EINVAL, "snapshot without volume=NAME; without both every volume and snapshot is an export",
                          NULL);
    if (server.control_path && server.snapshot)
        return nbd_refuse(EINVAL, "control needs an image that is open for writing: not with snapshot=", NULL);
    return 0;
}

#define CONFIG_HELP                                                                                                  \
    "image=PATH         the image: a file or block device (needed)\n"                                               \
    "volume=NAME        the only export; without it every volume is one, named VOLUME,\n"                           \
    "                   and every snapshot, named VOLUME@SNAPSHOT\n"                                                \
    "snapshot=NAME      this snapshot of the volume, read-only\n"                                                   \
    "io=BACKEND         auto (the default), uring, aio or sync\n"                                                   \
    "memory=SIZE        budget of the caches (256M)\n"                                                              \
    "idle-defrag=SECS   defragment when nothing was asked for so long (10), or off\n"                               \
    "control=SOCKET     take snapshots of the running server: see nbdkit-vde-plugin(1)"

static void vde_dump_plugin(void)
{
    printf("vde_parameters=image volume snapshot io memory control idle-defrag\n");
    printf("vde_block_size=%u %u %u\n", BLOCK_MIN, BLOCK_PREFERRED, REQUEST_MAX);
}

/* --- the life of the server ------------------------------------------------------------------------------------- */
static int vde_get_ready(void)
{
    return nbd_image_try(&server);
}

static int vde_after_fork(void)
{
    return server.control_path ? nbd_control_start(&server) : 0;
}

static void vde_cleanup(void)
{
    nbd_control_stop(&server);
    nbd_image_close(&server);
}

static void vde_unload(void)
{
    free(server.image_path);
    free(server.volume);
    free(server.snapshot);
    free(server.backend);
    free(server.control_path);
}

static int vde_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
    (void)is_tls;
    return nbd_image_open(&server, readonly) == 0 ? nbd_exports_list(&server, exports) : -1;
}

static const char *vde_default_export(int readonly, int is_tls)
{
    (void)is_tls;
    return nbd_image_open(&server, readonly) == 0 ? nbd_exports_default(&server) : NULL;
}

/* --- connections ------------------------------------------------------------------------------------------------ */
/* The name of the export that the client wants, checked against the command line. */
static int wanted(struct nbd_name *ret_name)
{
    const char *asked = nbdkit_export_name();
    const char *only = server.volume ? nbd_exports_default(&server) : NULL;
    if (!asked)
        return -1;
    if (!server.volume && !asked[0])
        return nbd_refuse(ENOENT, "the image does not hold exactly one volume: ask for an export by its name", NULL);
    if (!server.volume)
        return nbd_name_resolve(&server, asked, ret_name);
    if (asked[0] && (!only || strcmp(asked, only) != 0))
        return nbd_refuse(ENOENT, "no such export; the server was told to serve one volume only", asked);
    struct nbd_name name = {0};
    if (strlen(server.volume) > VDE_VOLUME_NAME_MAX ||
        (server.snapshot && strlen(server.snapshot) > VDE_SNAPSHOT_NAME_MAX))
        return nbd_refuse(ENOENT, "the name is too long", only);
    memcpy(name.volume, server.volume, strlen(server.volume));
    if (server.snapshot)
        memcpy(name.snapshot, server.snapshot, strlen(server.snapshot));
    *ret_name = name;
    return 0;
}

static void *vde_open(int readonly)
{
    struct nbd_name name = {0};
    if (nbd_image_open(&server, readonly) != 0 || wanted(&name) != 0)
        return NULL;
    struct nbd_export *export = calloc(1, sizeof *export);
    if (!export) {
        nbd_refuse(ENOMEM, "out of memory", NULL);
        return NULL;
    }
    const char *snapshot = name.snapshot[0] ? name.snapshot : NULL;
    vde_status status = vde_volume_open(server.image, name.volume, snapshot, &export->volume);
    if (status != VDE_OK) {
        nbd_fail(status);
        free(export);
        return NULL;
    }
    struct vde_image_info info;
    vde_image_info(server.image, &info);
    export->writable = !readonly && !snapshot && !info.read_only;
    return export;
}

static void vde_close(void *handle)
{
    struct nbd_export *export = handle;
    vde_volume_close(export->volume);
    free(export);
}

static int64_t vde_get_size(void *handle)
{
    const struct nbd_export *export = handle;
    return (int64_t)vde_volume_size(export->volume);
}

static int vde_can_write(void *handle)
{
    const struct nbd_export *export = handle;
    return export->writable;
}

static int yes(void *handle)
{
    (void)handle;
    return 1;
}

static int no(void *handle)
{
    (void)handle;
    return 0;
}

static int vde_can_fua(void *handle)
{
    (void)handle;
    return NBDKIT_FUA_NATIVE;
}

/* The engine keeps no cache of data that reading ahead would fill. */
static int vde_can_cache(void *handle)
{
    (void)handle;
    return NBDKIT_CACHE_NONE;
}

static int vde_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    (void)handle;
    *minimum = BLOCK_MIN;
    *preferred = BLOCK_PREFERRED;
    *maximum = REQUEST_MAX;
    return 0;
}

/* --- requests ---------------------------------------------------------------------------------------------------- */
static int done(vde_status status)
{
    return status == VDE_OK ? 0 : nbd_fail(status);
}

static uint32_t durability(uint32_t flags)
{
    return flags & NBDKIT_FLAG_FUA ? VDE_VOLUME_FUA : 0;
}

static int vde_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    const struct nbd_export *export = handle;
    (void)flags;
    return done(vde_volume_read(export->volume, buffer, count, offset));
}

static int vde_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    const struct nbd_export *export = handle;
    return done(vde_volume_write(export->volume, buffer, count, offset, durability(flags)));
}

static int vde_flush(void *handle, uint32_t flags)
{
    const struct nbd_export *export = handle;
    (void)flags;
    return done(vde_volume_flush(export->volume));
}

static int vde_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    const struct nbd_export *export = handle;
    return done(vde_volume_discard(export->volume, count, offset, durability(flags)));
}

/* Without MAY_TRIM the client would like the space to stay allocated: to copy-on-write an allocated block of zeroes is
 * no promise that the next write finds room, so a hole is as good. */
static int vde_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    const struct nbd_export *export = handle;
    uint32_t fast = flags & NBDKIT_FLAG_FAST_ZERO ? VDE_VOLUME_FAST : 0;
    return done(vde_volume_write_zeroes(export->volume, count, offset, durability(flags) | fast));
}

static uint32_t extent_type(enum vde_block_state state)
{
    switch (state) {
    case VDE_BLOCK_ZERO:
        return NBDKIT_EXTENT_ZERO;
    case VDE_BLOCK_HOLE:
        return NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;
    case VDE_BLOCK_DATA:
    default:
        return 0;
    }
}

static int vde_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents)
{
    const struct nbd_export *export = handle;
    uint64_t end = offset + count;
    while (offset < end) {
        enum vde_block_state state;
        uint64_t bytes;
        vde_status status = vde_volume_block_status(export->volume, offset, end - offset, &state, &bytes);
        if (status != VDE_OK)
            return nbd_fail(status);
        if (nbdkit_add_extent(extents, offset, bytes, extent_type(state)) != 0)
            return -1;
        offset += bytes;
        if (flags & NBDKIT_FLAG_REQ_ONE)
            break;
    }
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "vde",
    .longname = "VDE volumes",
    .version = VERSION_OF(VDE_VERSION_MAJOR, VDE_VERSION_MINOR, VDE_VERSION_PATCH),
    .description = "volumes and snapshots of a VDE image",
    .unload = vde_unload,
    .dump_plugin = vde_dump_plugin,
    .config = vde_config,
    .config_complete = vde_config_complete,
    .config_help = CONFIG_HELP,
    .magic_config_key = "image",
    .get_ready = vde_get_ready,
    .after_fork = vde_after_fork,
    .cleanup = vde_cleanup,
    .list_exports = vde_list_exports,
    .default_export = vde_default_export,
    .open = vde_open,
    .close = vde_close,
    .get_size = vde_get_size,
    .block_size = vde_block_size,
    .can_write = vde_can_write,
    .can_flush = yes,
    .is_rotational = no,
    .can_trim = yes,
    .can_zero = yes,
    .can_fast_zero = yes,
    .can_extents = yes,
    .can_fua = vde_can_fua,
    .can_multi_conn = yes, /* a flush covers the requests of all connections: they share one log */
    .can_cache = vde_can_cache,
    .pread = vde_pread,
    .pwrite = vde_pwrite,
    .flush = vde_flush,
    .trim = vde_trim,
    .zero = vde_zero,
    .extents = vde_extents,
};

struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
