/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts on an image that has room for a few blocks only: requests are refused whole, what frees space always works.
 * ctest: timeout=1200 labels=heavy processors=2 sanitized=--depth,2,--every,12,--again,64,--least,300 */
#include "volume_subject.h"

int main(int argc, char **argv)
{
    struct explore_options options = EXPLORE_OPTIONS_INIT;
    options.every = 40;
    options.again_every = 16;
    options.further_every = 4;
    options.least = 10000;
    explore_parse(argc, argv, &options);
    return explore(&full_volume_subject, &options);
}
