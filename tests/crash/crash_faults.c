/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that fail, get lost or land elsewhere under a workload of libvde.
 * ctest: timeout=900 */
#include "engine_subject.h"
#include "faults.h"

int main(void)
{
    return faults(&engine_subject, engine_workload, engine_workload_length);
}
