/* SPDX-License-Identifier: Apache-2.0 */
/* The sequences of crash_volume, crash_volume_long and crash_volume_full in numbers: more than a million crash images. With
 * --seed, other samples of the long ones.
 * ctest: timeout=36000 labels=heavy,extended serial */
#include <stdio.h>

#include "volume_subject.h"

int main(int argc, char **argv)
{
    struct explore_options all = EXPLORE_OPTIONS_INIT;
    all.further_every = 4;
    explore_parse(argc, argv, &all);
    struct explore_options longer = all, full = all;
    all.again_every = 8;
    all.least = 300000;
    longer.from = longer.depth = 4;
    longer.every = 3;
    longer.again_every = 16;
    longer.least = 300000;
    full.again_every = 8;
    full.least = 300000;
    int failed = explore(&volume_subject, &all);
    failed |= explore(&volume_subject, &longer);
    failed |= explore(&full_volume_subject, &full);
    return failed;
}
