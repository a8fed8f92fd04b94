/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that fail, get lost or land elsewhere under a workload of volumes, snapshots and clones.
 * ctest: timeout=900 */
#include "volume_subject.h"
#include "faults.h"

int main(void)
{
    return faults(&volume_subject, volume_workload, volume_workload_length);
}
