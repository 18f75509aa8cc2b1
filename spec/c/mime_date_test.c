/*
** mime_date_test.c: dates as the standards write them and as mailers do.
*/
#include "mime/date.h"

#include "check.h"

static const struct {
  const char *text;
  bool ok;
  int64_t epoch;
  int zone;
} dates[] = {
    {"Thu, 01 Jan 1970 00:00:00 +0000", true, 0, 0},
    {"Fri, 21 Nov 1997 09:55:06 -0600", true, 880127706, -360},
    {"Sun, 22 Nov 2026 20:13:55 +0100", true, 1795374835, 60},
    {"22 Nov 2026 20:13:55 +0100", true, 1795374835, 60},
    {"Sun, 22 Nov 2026 20:13 +0100", true, 1795374780, 60},
    {"Sun,22 Nov 2026 20:13:55 +0100 (CET)", true, 1795374835, 60},
    {"(a (nested) comment) 22 Nov 2026 20:13:55 +0100", true, 1795374835, 60},
    {"Sun, 22 Nov 2026 19:13:55", true, 1795374835, 0},
    {"Sun, 22 Nov 2026 19:13:55 GMT", true, 1795374835, 0},
    {"Sun, 22 Nov 2026 19:13:55 UT", true, 1795374835, 0},
    {"Sun, 22 Nov 2026 19:13:55 Z", true, 1795374835, 0},
    {"Sun, 22 Nov 2026 14:13:55 EST", true, 1795374835, -300},
    {"Sun, 22 Nov 2026 20:13:55 \"GMT+0100\"", true, 1795374835, 60},
    {"Sun, 22 Nov 2026 19:13:55 Nowhere", true, 1795374835, 0},
    {"Sun, 22 Nov 26 19:13:55 +0000", true, 1795374835, 0},
    {"Sun, 22 Nov 126 19:13:55 +0000", true, 1795374835, 0},
    {"Mon, 1 Jan 70 00:00:00 +0000", true, 0, 0},
    {"Sun Nov 22 19:13:55 2026", true, 1795374835, 0},       /* ctime */
    {"Sunday, 22-Nov-26 19:13:55 GMT", true, 1795374835, 0}, /* RFC 850 */
    {"Nov 22 2026 19:13:55", true, 1795374835, 0},
    {"November 22, 2026 7:13:55 PM", true, 1795374835, 0},
    {"2026-11-22T19:13:55Z", true, 1795374835, 0},
    {"2026-11-22 20:13:55.25+01:00", true, 1795374835, 60},
    {"22 Nov 2026", true, 1795305600, 0},
    {"Sat, 21 Nov 2026 24:00:00 +0000", true, 1795305600, 0},
    {"Sat, 31 Dec 2016 23:59:60 +0000", true, 1483228800, 0},
    {"29 Feb 2024 00:00 +0000", true, 1709164800, 0},
    {"29 Feb 2023 00:00 +0000", false, 0, 0},
    {"31 Apr 2026 00:00 +0000", false, 0, 0},
    {"Sun, 22 Nov 2026 25:00:00 +0000", false, 0, 0},
    {"Sun, 22 Nov 2026 24:00:01 +0000", false, 0, 0},
    {"Sun, 22 Nov 2026 12:60:00 +0000", false, 0, 0},
    {"Sun, 22 Nov 2026 20:13:55 +9900", true, 1795378435, 0},
    {"22 Nov", false, 0, 0},
    {"", false, 0, 0},
    {"yesterday", false, 0, 0},
    {"99999999999999999999 Nov 2026", false, 0, 0},
    {"(never closed 22 Nov 2026", false, 0, 0},
    {"1 2 3 4 5 6", false, 0, 0},
};

static const struct {
  const char *text;
  bool ok;
  int64_t epoch;
} imap[] = {
    {"17-Jul-1996 02:44:25 -0700", true, 837596665},
    {" 7-Feb-1994 21:52:25 -0800", true, 760686745},
    {"7-Feb-1994 21:52:25 -0800", true, 760686745},
    {"07-feb-1994 21:52:25 -0800", true, 760686745},
    {"17-Jul-1996 09:44:25", true, 837596665},
    {"01-Jan-1970 00:00:00 +0000", true, 0},
    {"00-Jan-0000 00:00:00 +0000", true, LM_DATE_NONE},
    {"00-Jan-0000", true, LM_DATE_NONE},
    {"1-Feb-1994", true, 760060800},
    {"31-Feb-1994 00:00:00 +0000", false, 0},
    {"17-Jul-96 02:44:25 -0700", false, 0},
    {"17-July-1996 02:44:25 -0700", false, 0},
    {"17-Jul-1996 02:44:25 -0700 x", false, 0},
    {"17-Jul-1996 24:44:25 -0700", false, 0},
    {"17 Jul 1996 02:44:25 -0700", false, 0},
    {"", false, 0},
};

static void test_fields(void) {
  size_t i;
  for (i = 0; i < sizeof dates / sizeof *dates; i++) {
    int64_t epoch = 0;
    int zone = 0;
    bool ok = lm_date_parse(str(dates[i].text), &epoch, &zone);
    if (ok != dates[i].ok || (ok && (epoch != dates[i].epoch || zone != dates[i].zone))) {
      fprintf(stderr, "%s: %d %lld %d\n", dates[i].text, ok, (long long)epoch, zone);
      EXPECT(!"date");
    } else {
      EXPECT(true);
    }
  }
}

static void test_imap(void) {
  size_t i;
  for (i = 0; i < sizeof imap / sizeof *imap; i++) {
    int64_t epoch = 0;
    bool ok = lm_date_parse_imap(str(imap[i].text), &epoch);
    if (ok != imap[i].ok || (ok && epoch != imap[i].epoch)) {
      fprintf(stderr, "%s: %d %lld\n", imap[i].text, ok, (long long)epoch);
      EXPECT(!"IMAP date");
    } else {
      EXPECT(true);
    }
  }
}

static void test_formats(void) {
  char buf[LM_DATE_ROOM];
  EXPECT(lm_date_format(buf, 1795374835, 60) == 31);
  EXPECT_TEXT(str(buf), str("Sun, 22 Nov 2026 20:13:55 +0100"), "format");
  EXPECT(lm_date_format(buf, 0, -90) == 31);
  EXPECT_TEXT(str(buf), str("Wed, 31 Dec 1969 22:30:00 -0130"), "format");
  EXPECT(lm_date_format_imap(buf, 760686745) == 26);
  EXPECT_TEXT(str(buf), str(" 8-Feb-1994 05:52:25 +0000"), "format IMAP");
  EXPECT(lm_date_format_imap_day(buf, 760686745) == 10);
  EXPECT_TEXT(str(buf), str("8-Feb-1994"), "format IMAP day");
  EXPECT(lm_date_format(buf, INT64_MAX, 0) == 0 && lm_date_format(buf, INT64_MIN, 0) == 0);
  EXPECT(lm_date_format(buf, 0, 1440) == 0 && lm_date_format_imap(buf, LM_DATE_NONE) == 0);
}

/* Day after day through 800 years: the calendar agrees with counting. */
static void test_calendar(void) {
  struct lm_civil c;
  struct lm_civil before = {0, 0, 0, 0, 0, 0, 0};
  int64_t day;
  for (day = -146097; day < 146097; day++) {
    lm_civil_from_epoch(day * 86400 + 3661, &c);
    if (before.month) {
      bool next = c.day == before.day + 1 ? c.month == before.month && c.year == before.year
                                          : c.day == 1 && before.day >= 28;
      if (!next || c.weekday != (before.weekday + 1) % 7 || c.hour != 1 || c.second != 1) {
        EXPECT(!"calendar");
      }
    }
    if (lm_civil_to_epoch(&c) != day * 86400 + 3661) EXPECT(!"calendar back");
    before = c;
  }
  EXPECT(before.year == 2369 && before.month == 12 && before.day == 31);
}

static void test_round_trip(void) {
  uint32_t state = 11;
  unsigned round;
  for (round = 0; round < 20000; round++) {
    int64_t epoch = (int64_t)seeded(&state) * 60 - INT64_C(62000000000) + seeded(&state) % 60;
    int64_t back = 0;
    int zone = (int)(seeded(&state) % 2879) - 1439;
    char buf[LM_DATE_ROOM];
    if (!lm_date_format(buf, epoch, zone)) continue;
    EXPECT(lm_date_parse(str(buf), &back, NULL) && back == epoch);
    EXPECT(lm_date_format_imap(buf, epoch) && lm_date_parse_imap(str(buf), &back));
    EXPECT(back == epoch);
  }
}

static void test_linear(void) {
  static const char *const hostile[] = {"(", "()", "a", " ", "12:", "-", "(\\"};
  size_t i;
  for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    struct lm_str text = repeat(hostile[i], 4 << 20);
    int64_t epoch = 0;
    EXPECT(!lm_date_parse(text, &epoch, NULL) && !lm_date_parse_imap(text, &epoch));
    free((void *)(uintptr_t)text.p);
  }
}

int main(void) {
  test_fields();
  test_imap();
  test_formats();
  test_calendar();
  test_round_trip();
  test_linear();
  return check_end();
}
