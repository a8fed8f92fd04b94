/* SPDX-License-Identifier: Apache-2.0 */
/* conflict_model in numbers.
 * ctest: timeout=14400 labels=heavy,extended processors=1 */
#include "conflict_world.h"

int main(int argc, char **argv)
{
    struct conflict_options options = {1000001, 1000000};
    conflict_parse(argc, argv, &options);
    return conflict_run(&options);
}
