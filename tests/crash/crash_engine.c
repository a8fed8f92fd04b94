/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts at every change of every sequence of up to three operations of libvde, and again during recovery.
 * ctest: timeout=1200 labels=heavy processors=2 sanitized=--depth,2,--again,8,--least,1000 */
#include "engine_subject.h"

int main(int argc, char **argv)
{
    struct explore_options options = EXPLORE_OPTIONS_INIT;
    options.least = 100000;
    explore_parse(argc, argv, &options);
    return explore(&engine_subject, &options);
}
