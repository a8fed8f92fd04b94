/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c -- a bar on stderr, for a person who waits: only on a terminal, only when the work is long. */
#include "cli.h"

#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 30u
#define FIRST_DRAW_MS 500u
#define REDRAW_MS 100u

static struct {
    uint64_t started_ms, drawn_ms;
    bool drawn;
} bar;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void draw(const char *what, uint64_t done, uint64_t total)
{
    unsigned percent = done == total ? 100 : (unsigned)(done / (total / 100 + 1));
    unsigned filled = percent * BAR_WIDTH / 100;
    fprintf(stderr, "\r%s [", what);
    for (unsigned i = 0; i < BAR_WIDTH; i++)
        fputc(i < filled ? '#' : ' ', stderr);
    fprintf(stderr, "] %3u%%", percent);
}

void progress_update(const char *what, uint64_t done, uint64_t total)
{
    uint64_t now = now_ms();
    if (!bar.started_ms)
        bar.started_ms = now;
    if (now - bar.started_ms < FIRST_DRAW_MS || now - bar.drawn_ms < REDRAW_MS || !isatty(STDERR_FILENO))
        return;
    bar.drawn_ms = now;
    bar.drawn = true;
    if (total)
        draw(what, done < total ? done : total, total);
    else
        fprintf(stderr, "\r%s %llu MiB", what, (unsigned long long)(done >> 20));
    fflush(stderr);
}

void progress_done(void)
{
    if (bar.drawn)
        fputs("\r\033[K", stderr);
    bar.drawn = false;
    bar.started_ms = 0;
}
