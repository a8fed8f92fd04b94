/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts at every change of every sequence of up to two operations on volumes, of every eighth of three, and now and
 * then again during recovery.
 * ctest: timeout=1200 processors=2 */
#include "volume_subject.h"

int main(int argc, char **argv)
{
    struct explore_options options = EXPLORE_OPTIONS_INIT;
    options.every = 8;
    options.again_every = 16;
    options.further_every = 4;
    options.least = 14000;
    explore_parse(argc, argv, &options);
    return explore(&volume_subject, &options);
}
