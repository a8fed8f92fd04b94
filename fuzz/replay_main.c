/* SPDX-License-Identifier: Apache-2.0 */
/* replay_main.c -- run a fuzz target without libFuzzer: over the files of the folders given, over its own seeds, and over
 * a number of mutants of them (FUZZ_MUTANTS, at most 20 s of them). usage: fuzz_x [folder or file]... */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fuzz.h"

#define INPUT_MAX (128u << 10)

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    static const uint64_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX, 1ull << 63};
    for (unsigned changes = 1 + (unsigned)(next_random() % 4); changes > 0; changes--) {
        size_t at = size ? next_random() % size : 0;
        uint64_t edge = edges[next_random() % 10];
        switch (next_random() % 7) {
        case 0: if (size) data[at] ^= (uint8_t)(1u << next_random() % 8); break;
        case 1: if (size) data[at] = (uint8_t)next_random(); break;
        case 2: if (size >= at + 8) memcpy(data + at, &edge, 8); break;
        case 3: if (size >= at + 4) memcpy(data + at, &edge, 4); break;
        case 4: if (size >= at + 2) memcpy(data + at, &edge, 2); break;
        case 5: if (size > 1) memmove(data + at, data + next_random() % size / 2, (size - at) / 2); break;
        default: if (size < max_size) data[size++] = (uint8_t)next_random(); break;
        }
    }
    return size;
}

/* Targets that only have a corpus do without these two. */
__attribute__((weak)) size_t fuzz_seed(unsigned number, uint8_t *data, size_t max_size)
{
    (void)number;
    (void)data;
    (void)max_size;
    return 0;
}

__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    (void)seed;
    return LLVMFuzzerMutate(data, size, max_size);
}

/* The corpus files, for mutants of them. */
static struct { uint8_t *data; size_t size; } kept[256];
static unsigned kept_count;

static void run_file(const char *path)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (!file)
        return;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (kept_count < 256 && size) {
        kept[kept_count].data = malloc(size);
        memcpy(kept[kept_count].data, bytes, size);
        kept[kept_count++].size = size;
    }
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees its end */
    memcpy(exact, bytes, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static unsigned run_path(const char *path)
{
    struct stat info;
    unsigned count = 0;
    if (stat(path, &info) != 0)
        return 0;
    if (!S_ISDIR(info.st_mode)) {
        run_file(path);
        return 1;
    }
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        run_file(name);
        count++;
    }
    if (folder)
        closedir(folder);
    return count;
}

static size_t start_from(unsigned number, unsigned seeds, uint8_t *data)
{
    unsigned at = seeds + kept_count ? number % (seeds + kept_count) : 0;
    if (at < seeds || kept_count == 0)
        return fuzz_seed(at, data, INPUT_MAX);
    memcpy(data, kept[at - seeds].data, kept[at - seeds].size);
    return kept[at - seeds].size;
}

int main(int argc, char **argv)
{
    static uint8_t data[INPUT_MAX];
    unsigned files = 0, seeds = 0, mutants = 0;
    const char *wanted = getenv("FUZZ_MUTANTS");
    unsigned most = wanted ? (unsigned)strtoul(wanted, NULL, 10) : 4000;
    for (int i = 1; i < argc; i++)
        files += run_path(argv[i]);
    for (size_t size; (size = fuzz_seed(seeds, data, sizeof data)) > 0 && seeds < 64; seeds++)
        LLVMFuzzerTestOneInput(data, size);
    size_t size = 0;
    time_t end = time(NULL) + 20;
    for (; mutants < most && time(NULL) < end; mutants++) {
        if (mutants % 8 == 0) /* a few generations from each seed and file */
            size = start_from(mutants / 8, seeds, data);
        size = LLVMFuzzerCustomMutator(data, size, sizeof data, (unsigned)next_random());
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, data, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    for (unsigned i = 0; i < kept_count; i++)
        free(kept[i].data);
    printf("%u files, %u seeds, %u mutants\n", files, seeds, mutants);
    return seeds + files == 0;
}
