/* SPDX-License-Identifier: Apache-2.0 */
/* crash.c -- processes that are killed while they write, and processes that measure what is left. */
#include "crash.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONGER_US = 300000 };

static pid_t start(void (*run)(const void *context, int told), const void *context, int *ret_fd)
{
    int ends[2];
    if (pipe(ends) != 0)
        bench_die("pipe: %s", strerror(errno));
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        bench_die("fork: %s", strerror(errno));
    if (child == 0) {
        close(ends[0]);
        run(context, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    *ret_fd = ends[0];
    return child;
}

static bool receive(int fd, void *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, (char *)data + done, size - done);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

uint64_t crash_writer(void (*write)(const void *context, int told), const void *context, uint64_t until)
{
    int fd, status;
    uint64_t number = 0;
    pid_t child = start(write, context, &fd);
    while (number < until)
        if (!receive(fd, &number, sizeof number))
            bench_die("the writer ended");
    usleep(LONGER_US);
    if (kill(child, SIGKILL) != 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
        bench_die("the writer was not to be killed");
    while (receive(fd, &number, sizeof number)) {
    }
    close(fd);
    return number;
}

unsigned crash_reader(void (*read)(const void *context, int told), const void *context, struct crash_step *steps, unsigned max)
{
    int fd, status;
    unsigned count = 0;
    pid_t child = start(read, context, &fd);
    while (count < max && receive(fd, &steps[count], sizeof *steps))
        count++;
    close(fd);
    if (waitpid(child, &status, 0) != child || status != 0)
        bench_die("the reader failed");
    return count;
}

static void send(int told, const void *data, size_t size)
{
    if (write(told, data, size) != (ssize_t)size)
        bench_die("pipe: %s", strerror(errno));
}

void crash_tell(int told, uint64_t number)
{
    send(told, &number, sizeof number);
}

static uint64_t status_kib(const char *field)
{
    char line[256];
    uint64_t value = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0)
            value = strtoull(line + strlen(field), NULL, 10);
    if (file)
        fclose(file);
    return value;
}

void crash_send(int told, const char *name, double seconds)
{
    struct crash_step step = {.seconds = seconds, .resident = status_kib("VmRSS:"), .peak = status_kib("VmHWM:")};
    snprintf(step.name, sizeof step.name, "%s", name);
    send(told, &step, sizeof step);
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (file) {
        fputs("5\n", file);
        fclose(file);
    }
}
