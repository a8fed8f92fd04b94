/* SPDX-License-Identifier: Apache-2.0 */
/* refuse.h -- make a system call fail, as a sandbox or an old kernel would. */
#ifndef TESTS_REFUSE_H
#define TESTS_REFUSE_H

/* From now on this process' calls of `number` fail with `os_errno`: all of them (`argument` -1), or those whose
 * argument of that index (0..5) is `value`. There is no way back; Criterion runs each test in a process of its own.
 * Ends the test when the kernel has no seccomp filters. */
void refuse_call(long number, int argument, unsigned value, int os_errno);
#endif
