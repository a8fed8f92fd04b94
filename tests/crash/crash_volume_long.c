/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts during the last of four operations on volumes: a sample of all such sequences, another one for each --seed.
 * ctest: timeout=1200 labels=heavy processors=2 sanitized=--every,4000,--again,64,--least,200 */
#include "volume_subject.h"

int main(int argc, char **argv)
{
    struct explore_options options = EXPLORE_OPTIONS_INIT;
    options.from = options.depth = 4;
    options.every = 150;
    options.again_every = 16;
    options.further_every = 4;
    options.least = 8000;
    explore_parse(argc, argv, &options);
    return explore(&volume_subject, &options);
}
