/* SPDX-License-Identifier: Apache-2.0 */
/* Memory runs out under a workload of volumes, snapshots and clones: the n-th allocation fails, for every `stride`-th n; each
 * call succeeds or says so, and what was acknowledged is there.
 *
 * usage: crash.volume_nomem [stride]
 * ctest: timeout=900 processors=1 */
#include <stdlib.h>

#include "faults.h"
#include "volume_subject.h"

/* Definitions in a program come before those of the libraries it is linked with, so the engine's calls end here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void *__interceptor_malloc(size_t size) __attribute__((weak));
extern void *__interceptor_calloc(size_t count, size_t size) __attribute__((weak));
extern void *__interceptor_realloc(void *old, size_t size) __attribute__((weak));
extern void *__interceptor_aligned_alloc(size_t alignment, size_t size) __attribute__((weak));

static uint64_t counted, first, last; /* those from first to last fail; first 0: nothing is counted */

static bool fails(void)
{
    if (first == 0)
        return false;
    counted++;
    return counted >= first && counted <= last;
}

void *malloc(size_t size)
{
    if (fails())
        return NULL;
    return __interceptor_malloc ? __interceptor_malloc(size) : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (fails())
        return NULL;
    return __interceptor_calloc ? __interceptor_calloc(count, size) : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    return __interceptor_realloc ? __interceptor_realloc(old, size) : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (fails())
        return NULL;
    return __interceptor_aligned_alloc ? __interceptor_aligned_alloc(alignment, size) : __libc_memalign(alignment, size);
}

static void arm(uint64_t nth, uint64_t times)
{
    counted = 0;
    last = nth + times - 1;
    first = nth;
}

static bool disarm(void)
{
    bool reached = counted >= first;
    first = 0;
    return reached;
}

int main(int argc, char **argv)
{
    struct memory_faults memory = {arm, disarm, argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 7};
    return memory.stride == 0 ||
           faults_of_memory(&volume_subject, volume_workload, volume_workload_length, &memory);
}
