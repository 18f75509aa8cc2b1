/*
** date.c: dates of mail to seconds since 1970 and back.
**
** The reader of Date fields goes by what words and numbers look like, not by their order: a time has
** colons, a month is a word, a zone follows the time. So one pass reads RFC 5322, RFC 850, ctime,
** ISO 8601 and the mixtures of them. The calendar is Howard Hinnant's days-from-civil arithmetic:
** eras of 400 years that begin on the first of March.
*/
#include "mime/date.h"

#include "base/chars.h"
#include "base/cursor.h"

enum { DAY = 86400 };

/* --- the calendar ---------------------------------------------------------------------------- */

int64_t lm_civil_to_epoch(const struct lm_civil *c) {
  int64_t y = c->month <= 2 ? c->year - 1 : c->year;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t year_of_era = y - era * 400;
  int64_t day_of_year = (153 * ((int64_t)c->month + (c->month > 2 ? -3 : 9)) + 2) / 5 + c->day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  int64_t days = era * 146097 + day_of_era - 719468;
  return ((days * 24 + c->hour) * 60 + c->minute) * 60 + c->second;
}

void lm_civil_from_epoch(int64_t epoch, struct lm_civil *out) {
  int64_t days = epoch / DAY - (epoch % DAY < 0);
  int64_t rest = epoch - days * DAY;
  int64_t z = days + 719468;
  int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  int64_t day_of_era = z - era * 146097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t march = (5 * day_of_year + 2) / 153;
  out->day = (unsigned)(day_of_year - (153 * march + 2) / 5 + 1);
  out->month = (unsigned)(march < 10 ? march + 3 : march - 9);
  out->year = year_of_era + era * 400 + (out->month <= 2);
  out->hour = (unsigned)(rest / 3600);
  out->minute = (unsigned)(rest / 60 % 60);
  out->second = (unsigned)(rest % 60);
  out->weekday = (unsigned)((days % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
}

static unsigned days_in(int64_t year, unsigned month) {
  static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : days[month - 1];
}

static const char *const months[12] = {"january",   "february", "march",    "april",
                                       "may",       "june",     "july",     "august",
                                       "september", "october",  "november", "december"};

/* 1..12 by a name of three letters or more, or 0. */
static unsigned month_of(struct lm_str word) {
  unsigned m;
  if (word.n < 3) return 0;
  for (m = 0; m < 12; m++) {
    struct lm_str name = {months[m], 0};
    while (name.p[name.n]) name.n++;
    if (lm_str_istarts(name, word)) return m + 1;
  }
  return 0;
}

/* --- Date fields ----------------------------------------------------------------------------- */

struct reader {
  struct lm_cursor c;
  int64_t year; /* -1 where not seen */
  unsigned month;
  unsigned day;
  unsigned hour;
  unsigned minute;
  unsigned second;
  bool timed; /* a time was seen: a sign now begins a zone */
  bool zoned; /* a zone in figures was seen */
  bool iso;   /* the year came first: month and day follow in figures */
  int zone;   /* minutes */
  int half;   /* 12 for PM, -12 for AM */
};

static void skip_comment(struct lm_cursor *c) {
  size_t depth = 0;
  while (c->p < c->end) {
    char ch = *c->p++;
    if (ch == '\\' && c->p < c->end) c->p++;
    if (ch == '(') depth++;
    if (ch == ')' && --depth == 0) return;
  }
}

/* A number of at most nine digits, its length to *digits_out. */
static bool figures(struct lm_cursor *c, unsigned *n_out, size_t *digits_out) {
  struct lm_str s = lm_span(c, LM_DIGIT);
  unsigned n = 0;
  size_t i;
  if (s.n == 0 || s.n > 9) return false;
  for (i = 0; i < s.n; i++) n = n * 10 + (unsigned)(s.p[i] - '0');
  *n_out = n;
  *digits_out = s.n;
  return true;
}

static bool two_figures(struct lm_cursor *c, unsigned max, unsigned *n_out) {
  size_t digits = 0;
  return figures(c, n_out, &digits) && digits <= 2 && *n_out <= max;
}

/* time = hour ":" minute [":" second ["." fraction]]; 24:00:00 is the next day's beginning, a second
** of 60 is a leap second. The hour was read. */
static bool time_of_day(struct reader *r, unsigned hour) {
  unsigned ignored = 0;
  size_t digits = 0;
  if (r->timed || hour > 24) return false;
  r->timed = true;
  r->hour = hour;
  if (!lm_accept(&r->c, ':') || !two_figures(&r->c, 59, &r->minute)) return false;
  if (lm_accept(&r->c, ':') && !two_figures(&r->c, 60, &r->second)) return false;
  if (lm_peek(&r->c) == '.' || lm_peek(&r->c) == ',') {
    r->c.p++;
    if (lm_is((char)lm_peek(&r->c), LM_DIGIT)) figures(&r->c, &ignored, &digits);
  }
  return hour < 24 || (r->minute == 0 && r->second == 0);
}

/* "+0100", "+01:00", "+1", "-700"; more than a day is no zone. */
static bool zone_figures(struct reader *r, char sign) {
  unsigned n = 0;
  unsigned minutes = 0;
  size_t digits = 0;
  if (!figures(&r->c, &n, &digits)) return false;
  if (digits <= 2) {
    if (lm_accept(&r->c, ':') && !two_figures(&r->c, 59, &minutes)) return false;
    n = n * 100 + minutes;
  }
  if (n % 100 > 59 || n > 2400) n = 0;
  r->zone = (int)(n / 100 * 60 + n % 100) * (sign == '-' ? -1 : 1);
  r->zoned = true;
  return true;
}

/* RFC 5322 §4.3: two digits are 2000 to 2049 and 1950 to 1999, three count from 1900. */
static int64_t full_year(unsigned n, size_t digits) {
  if (digits >= 4) return n;
  if (digits == 3) return (int64_t)n + 1900;
  return n < 50 ? (int64_t)n + 2000 : (int64_t)n + 1900;
}

static bool number(struct reader *r) {
  unsigned n = 0;
  size_t digits = 0;
  if (!figures(&r->c, &n, &digits)) return false;
  if (lm_peek(&r->c) == ':' && digits <= 2) return time_of_day(r, n);
  if (r->iso && r->month == 0) {
    r->month = n;
    return n >= 1 && n <= 12;
  }
  if (r->day == 0 && digits <= 2 && n >= 1 && n <= 31) {
    r->day = n;
    return true;
  }
  if (r->year >= 0) return false;
  r->year = full_year(n, digits);
  r->iso = r->day == 0 && r->month == 0 && digits == 4;
  return digits <= 4;
}

static void named_zone(struct reader *r, struct lm_str word) {
  static const struct {
    const char *name;
    int hours;
  } zones[] = {{"EST", -5}, {"EDT", -4},  {"CST", -6},  {"CDT", -5},  {"MST", -7}, {"MDT", -6},
               {"PST", -8}, {"PDT", -7},  {"CET", 1},   {"MET", 1},   {"CEST", 2}, {"MEST", 2},
               {"BST", 1},  {"EET", 2},   {"EEST", 3},  {"MSK", 3},   {"JST", 9},  {"KST", 9},
               {"HKT", 8},  {"AEST", 10}, {"AEDT", 11}, {"NZST", 12}, {"NZDT", 13}};
  size_t i;
  for (i = 0; i < sizeof zones / sizeof *zones; i++) {
    struct lm_str name = {zones[i].name, zones[i].name[3] ? 4 : 3};
    if (lm_str_ieq(word, name)) r->zone = zones[i].hours * 60;
  }
}

/* Names of days, "T" and "at", military zones (RFC 5322 §4.3: worth +0000) and unknown zones say
** nothing. */
static void word(struct reader *r) {
  struct lm_str w = lm_span(&r->c, LM_ALPHA);
  unsigned month = r->month == 0 ? month_of(w) : 0;
  if (month) {
    r->month = month;
  } else if (LM_IS(w, "pm")) {
    r->half = 12;
  } else if (LM_IS(w, "am")) {
    r->half = -12;
  } else if (r->timed && !r->zoned) {
    named_zone(r, w);
  }
}

/* One thing at the front; false where it makes no sense. Signs before the time separate ("12-Nov-94"),
** so does all punctuation. */
static bool item(struct reader *r) {
  char ch = *r->c.p;
  if (lm_is(ch, LM_DIGIT)) return number(r);
  if (lm_is(ch, LM_ALPHA)) {
    word(r);
    return true;
  }
  if (ch == '(') {
    skip_comment(&r->c);
    return true;
  }
  r->c.p++;
  if ((ch != '+' && ch != '-') || !r->timed || r->zoned) return true;
  return !lm_is((char)lm_peek(&r->c), LM_DIGIT) || zone_figures(r, ch);
}

static bool settle(struct reader *r, int64_t *epoch_out) {
  struct lm_civil c = {r->year, r->month, r->day, r->hour, r->minute, r->second, 0};
  if (r->year < 0 || r->month == 0 || r->day == 0 || r->day > days_in(r->year, r->month)) {
    return false;
  }
  if (r->half == 12 && c.hour < 12) c.hour += 12;
  if (r->half == -12 && c.hour == 12) c.hour = 0;
  *epoch_out = lm_civil_to_epoch(&c) - (int64_t)r->zone * 60;
  return true;
}

bool lm_date_parse(struct lm_str s, int64_t *epoch_out, int *zone_out) {
  struct reader r = {lm_cursor(s.n ? s : LM_STR("")), -1, 0, 0, 0, 0, 0, false, false, false, 0, 0};
  while (!lm_at_end(&r.c)) {
    if (!item(&r)) return false;
  }
  if (zone_out) *zone_out = r.zone;
  return settle(&r, epoch_out);
}

/* --- writing --------------------------------------------------------------------------------- */

static char *put_number(char *p, unsigned n, unsigned width) {
  unsigned i = width;
  while (i-- > 0) {
    p[i] = (char)('0' + n % 10);
    n /= 10;
  }
  return p + width;
}

static char *put_text(char *p, const char *s, size_t n) {
  while (n-- > 0) *p++ = *s++;
  return p;
}

static char *put_month(char *p, unsigned month) {
  *p++ = lm_upper(months[month - 1][0]);
  return put_text(p, months[month - 1] + 1, 2);
}

static char *put_time(char *p, const struct lm_civil *c) {
  p = put_number(p, c->hour, 2);
  *p++ = ':';
  p = put_number(p, c->minute, 2);
  *p++ = ':';
  return put_number(p, c->second, 2);
}

static char *put_zone(char *p, int zone) {
  unsigned minutes = (unsigned)(zone < 0 ? -zone : zone);
  *p++ = ' ';
  *p++ = zone < 0 ? '-' : '+';
  return put_number(p, minutes / 60 * 100 + minutes % 60, 4);
}

/* Seconds of the years 0 to 9999. */
static bool has_four_digits(int64_t epoch) {
  return epoch >= INT64_C(-62167219200) && epoch < INT64_C(253402300800);
}

static bool civil_at(int64_t epoch, int zone, struct lm_civil *out) {
  if (!has_four_digits(epoch) || zone <= -1440 || zone >= 1440) return false;
  epoch += (int64_t)zone * 60;
  if (!has_four_digits(epoch)) return false;
  lm_civil_from_epoch(epoch, out);
  return true;
}

size_t lm_date_format(char *buf, int64_t epoch, int zone) {
  static const char days[] = "SunMonTueWedThuFriSat";
  struct lm_civil c;
  char *p = buf;
  if (!civil_at(epoch, zone, &c)) return 0;
  p = put_text(p, days + c.weekday * 3, 3);
  p = put_text(p, ", ", 2);
  p = put_number(p, c.day, c.day > 9 ? 2 : 1);
  *p++ = ' ';
  p = put_month(p, c.month);
  *p++ = ' ';
  p = put_number(p, (unsigned)c.year, 4);
  *p++ = ' ';
  p = put_zone(put_time(p, &c), zone);
  *p = '\0';
  return (size_t)(p - buf);
}

static char *put_imap_day(char *p, const struct lm_civil *c) {
  *p++ = '-';
  p = put_month(p, c->month);
  *p++ = '-';
  return put_number(p, (unsigned)c->year, 4);
}

/* date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE */
size_t lm_date_format_imap(char *buf, int64_t epoch) {
  struct lm_civil c;
  char *p = buf;
  if (!civil_at(epoch, 0, &c)) return 0;
  p = put_number(p, c.day, 2);
  if (c.day < 10) *buf = ' ';
  p = put_imap_day(p, &c);
  *p++ = ' ';
  p = put_zone(put_time(p, &c), 0);
  *p = '\0';
  return (size_t)(p - buf);
}

/* date-text = date-day "-" date-month "-" date-year; date-day = 1*2DIGIT */
size_t lm_date_format_imap_day(char *buf, int64_t epoch) {
  struct lm_civil c;
  char *p = buf;
  if (!civil_at(epoch, 0, &c)) return 0;
  p = put_imap_day(put_number(p, c.day, c.day > 9 ? 2 : 1), &c);
  *p = '\0';
  return (size_t)(p - buf);
}

/* --- IMAP ------------------------------------------------------------------------------------ */

static bool imap_month(struct lm_cursor *c, unsigned *month_out) {
  struct lm_str name = lm_span(c, LM_ALPHA);
  *month_out = name.n == 3 ? month_of(name) : 0;
  return *month_out != 0;
}

/* time = 2DIGIT ":" 2DIGIT ":" 2DIGIT */
static bool imap_time(struct reader *r) {
  return two_figures(&r->c, 23, &r->hour) && lm_accept(&r->c, ':') &&
         two_figures(&r->c, 59, &r->minute) && lm_accept(&r->c, ':') &&
         two_figures(&r->c, 60, &r->second);
}

/* zone = ("+" / "-") 4DIGIT */
static bool imap_zone(struct reader *r) {
  char sign = (char)lm_peek(&r->c);
  if (lm_at_end(&r->c)) return true;
  if (sign != '+' && sign != '-') return false;
  r->c.p++;
  return zone_figures(r, sign) && lm_at_end(&r->c);
}

bool lm_date_parse_imap(struct lm_str s, int64_t *epoch_out) {
  struct reader r = {lm_cursor(s.n ? s : LM_STR("")), -1, 0, 0, 0, 0, 0, true, false, false, 0, 0};
  unsigned year = 0;
  size_t digits = 0;
  lm_span(&r.c, LM_SPACE);
  if (!two_figures(&r.c, 31, &r.day) || !lm_accept(&r.c, '-')) return false;
  if (!imap_month(&r.c, &r.month) || !lm_accept(&r.c, '-')) return false;
  if (!figures(&r.c, &year, &digits) || digits != 4) return false;
  r.year = year;
  lm_span(&r.c, LM_SPACE);
  if (!lm_at_end(&r.c) && !imap_time(&r)) return false;
  lm_span(&r.c, LM_SPACE);
  if (!imap_zone(&r)) return false;
  if (r.day == 0 || r.year == 0) { /* Domino: spec/c/mime_date_test.c */
    *epoch_out = LM_DATE_NONE;
    return true;
  }
  return settle(&r, epoch_out);
}
