/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_scrub.c -- vdectl scrub: read and verify everything, at a pace. */
#include "check.h"
#include "commands.h"

#include <string.h>

#define MEGABYTE 1000000u

/* "200" are megabytes a second, "64M" bytes with their unit. */
static bool parse_rate(const struct cli *cli, uint64_t *ret_bytes)
{
    const char *text = cli_option(cli, "rate");
    uint64_t value;
    *ret_bytes = 0;
    if (!text)
        return true;
    bool plain = parse_u64(text, &value);
    if ((plain || parse_size(text, &value)) && value > 0 && (!plain || value < UINT64_MAX / MEGABYTE)) {
        *ret_bytes = plain ? value * MEGABYTE : value;
        return true;
    }
    cli_usage(cli, "--rate", text, "megabytes a second, like 200, or a size like 64M");
    return false;
}

static int run_scrub(struct cli *cli)
{
    uint64_t rate;
    if (!parse_rate(cli, &rate))
        return CLI_USAGE;
    return check_image(cli, "scrub", VDE_CHECK_DATA | VDE_CHECK_SCRUB, rate);
}

static const struct cli_option scrub_options[] = {
    {"rate", "MB/s", "read at most so many megabytes a second"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_scrub = {
    .verb = "scrub",
    .arguments = "",
    .summary = "read and verify all data and metadata, copies included; goes on after damage; exit status 5 when it finds some",
    .flags = CLI_IMAGE | CLI_OPENS | CLI_SIZES,
    .options = scrub_options,
    .notes = "Damage is named by volume or file and offset. Writes nothing; see repair.",
    .run = run_scrub,
};
