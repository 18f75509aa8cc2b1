/*
** date.h: dates of mail to seconds since 1970 and back, without the C library's clock.
**
** The date of RFC 5322 §3.3, read with the forms that old and odd mailers write (RFC 850, ctime,
** ISO 8601, named zones), and the date-time of IMAP (RFC 9051 §9). A time is an int64_t of seconds
** in UTC; a zone is minutes east of it.
*/
#ifndef LM_MIME_DATE_H
#define LM_MIME_DATE_H

#include "base/lm.h"

/* A date that says that it is none: "00-Jan-0000" of Domino. */
#define LM_DATE_NONE INT64_MIN

/* Longest results, with the NUL behind them. */
enum { LM_DATE_ROOM = 32, LM_DATE_IMAP_ROOM = 27 };

struct lm_civil {
  int64_t year;
  unsigned month; /* 1..12 */
  unsigned day;   /* 1..31 */
  unsigned hour;
  unsigned minute;
  unsigned second;
  unsigned weekday; /* 0 = Sunday; not read by lm_civil_to_epoch */
};

/* Proleptic Gregorian calendar, UTC, both ways. Fields out of range carry over. */
int64_t lm_civil_to_epoch(const struct lm_civil *c);
void lm_civil_from_epoch(int64_t epoch, struct lm_civil *out);

/* A Date field's value. False where day, month and year cannot be made out. An unknown zone counts
** as UTC; `zone_out` may be NULL. Comments are passed over. Linear time. */
bool lm_date_parse(struct lm_str s, int64_t *epoch_out, int *zone_out);

/* "Sun, 22 Nov 2026 20:13:55 +0100" (RFC 5322 §3.3), NUL-terminated, into at least LM_DATE_ROOM
** bytes. Returns its length; 0 for years that have not four digits, or a zone of a day or more. */
size_t lm_date_format(char *buf, int64_t epoch, int zone);

/* IMAP's date-time without its quotes: "17-Jul-1996 02:44:25 -0700", " 7-Feb-1994 ...". The zone may
** be missing. Day 0 or year 0 gives LM_DATE_NONE. */
bool lm_date_parse_imap(struct lm_str s, int64_t *epoch_out);

/* The same in reverse, in UTC, without quotes: "17-Jul-1996 09:44:25 +0000", NUL-terminated, into at
** least LM_DATE_IMAP_ROOM bytes. Returns its length, 26; 0 for years that have not four digits. */
size_t lm_date_format_imap(char *buf, int64_t epoch);

/* IMAP's date of SEARCH, "7-Feb-1994": the day in UTC. The same room. */
size_t lm_date_format_imap_day(char *buf, int64_t epoch);

#endif
