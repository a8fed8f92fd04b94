/* SPDX-License-Identifier: Apache-2.0 */
/* compress.c -- zstd by libzstd, one context a thread. */
#include "base/compress.h"

#include <pthread.h>
#include <zstd.h>

#include "base/fail.h"

static pthread_key_t pack_key, unpack_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_pack(void *context) { ZSTD_freeCCtx(context); }
static void free_unpack(void *context) { ZSTD_freeDCtx(context); }

static void make_keys(void)
{
    pthread_key_create(&pack_key, free_pack);
    pthread_key_create(&unpack_key, free_unpack);
}

static ZSTD_CCtx *pack_context(void)
{
    pthread_once(&once, make_keys);
    ZSTD_CCtx *context = pthread_getspecific(pack_key);
    if (!context) {
        context = ZSTD_createCCtx();
        if (context)
            pthread_setspecific(pack_key, context);
    }
    return context;
}

static ZSTD_DCtx *unpack_context(void)
{
    pthread_once(&once, make_keys);
    ZSTD_DCtx *context = pthread_getspecific(unpack_key);
    if (!context) {
        context = ZSTD_createDCtx();
        if (context)
            pthread_setspecific(unpack_key, context);
    }
    return context;
}

size_t compress_bound(size_t size)
{
    return ZSTD_compressBound(size);
}

size_t compress_pack(void *to, size_t capacity, const void *from, size_t size, int level)
{
    ZSTD_CCtx *context = pack_context();
    if (!context)
        return 0;
    size_t packed = ZSTD_compressCCtx(context, to, capacity, from, size, level);
    return ZSTD_isError(packed) ? 0 : packed;
}

vde_status compress_unpack(void *to, size_t raw_size, const void *from, size_t size, const char *object)
{
    ZSTD_DCtx *context = unpack_context();
    if (!context)
        return fail_nomem("decompression context");
    size_t unpacked = ZSTD_decompressDCtx(context, to, raw_size, from, size);
    if (ZSTD_isError(unpacked))
        return fail_corrupt("%s|zstd: %s|a valid frame", object, ZSTD_getErrorName(unpacked));
    if (unpacked != raw_size)
        return fail_corrupt("%s|%zu bytes decompressed|%zu", object, unpacked, raw_size);
    return VDE_OK;
}
