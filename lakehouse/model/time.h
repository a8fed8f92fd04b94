/* SPDX-License-Identifier: Apache-2.0 */
/* time.h -- times as people and logs write them, in microseconds since 1970-01-01 UTC. Years 1970 to 9999. */
#ifndef LH_MODEL_TIME_H
#define LH_MODEL_TIME_H

#include "model/buffer.h"

/* RFC 3339 ("2026-11-20T10:00:00.123456Z", any offset, 't', 'z' and a blank for 'T'), "YYYY-MM-DD[ HH:MM[:SS[.f]]]" in
 * UTC, or an age counted back from `now_us`: "-90s", "-2h", "-3d", "-1w", "-5m". Digits beyond microseconds are cut.
 * INVAL names the text's fault. */
vde_status lh_time_read(struct lh_slice text, uint64_t now_us, uint64_t *ret_us);

#define LH_TIME_TEXT_SIZE 32u
/* "2026-11-20T10:00:00.123Z"; six digits when the microseconds are not whole milliseconds. NUL-terminated. */
void lh_time_print(uint64_t time_us, char text[LH_TIME_TEXT_SIZE]);

/* Days since 1970-01-01 to a civil date and back; for DATE values and printing. */
int64_t lh_days_from_civil(int64_t year, unsigned month, unsigned day);
void lh_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
#endif
