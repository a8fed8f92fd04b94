/* SPDX-License-Identifier: Apache-2.0 */
/* check.h -- what check, scrub and repair share: how findings are printed, and the run of a check. */
#ifndef VDECTL_CHECK_H
#define VDECTL_CHECK_H

#include "cli.h"

#define CHECK_SHOWN_MAX 1000u /* findings printed; summaries count all of them */

json_t *check_finding_json(const struct vde_finding *finding);
void check_finding_text(const struct vde_finding *finding);
/* Check the image with these flags and at this rate (bytes a second, 0: any), and print what came of it. */
int check_image(struct cli *cli, const char *what, uint32_t flags, uint64_t rate_bytes);

#endif
