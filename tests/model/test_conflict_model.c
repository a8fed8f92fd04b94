/* SPDX-License-Identifier: Apache-2.0 */
/* Random transactions over several tables, each built at an older version of them: the outcome equals the rule table's
 * every time, and what is active is what the accepted ones made.
 *
 * usage: model.conflict_model [--seed FIRST] [--operations N]
 * ctest: timeout=600 */
#include "conflict_world.h"

int main(int argc, char **argv)
{
    struct conflict_options options = {1, 12000};
    conflict_parse(argc, argv, &options);
    return conflict_run(&options);
}
