/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts at every change of every sequence of up to two operations on volumes, of three, and now and then again during
 * recovery.
 * ctest: timeout=1200 labels=heavy processors=2 sanitized=--depth,2,--every,3,--again,64,--least,400 */
#include "volume_subject.h"

int main(int argc, char **argv)
{
    struct explore_options options = EXPLORE_OPTIONS_INIT;
    options.again_every = 6;
    options.further_every = 4;
    options.least = 100000;
    explore_parse(argc, argv, &options);
    return explore(&volume_subject, &options);
}
