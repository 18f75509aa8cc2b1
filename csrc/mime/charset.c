/*
** charset.c: text in any charset to UTF-8.
**
** A charset's name is reduced to its letters and digits and looked up in one table; what is not
** there is offered to iconv under its own name. No text from the wire reaches iconv_open with
** characters other than letters, digits and "-_.:", so its suffixes ("//TRANSLIT") cannot be asked
** for by a sender. Every step of the iconv loop moves on in the input and looks at one window of
** it: hostile bytes cost linear time.
*/
#include "mime/charset.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "base/buf.h"
#include "base/chars.h"
#include "base/text.h"
#include "mime/charset_table.h"

enum { NAME_MAX_LEN = 40, ICONV_WINDOW = 1024, ICONV_ROOM = 4096 };

/* --- one octet a character --------------------------------------------------------------------- */

#define EIGHT(c) (c), (c) + 1, (c) + 2, (c) + 3, (c) + 4, (c) + 5, (c) + 6, (c) + 7
#define UPPER                                                                                      \
  EIGHT(0xC0), EIGHT(0xC8), EIGHT(0xD0), EIGHT(0xD8), EIGHT(0xE0), EIGHT(0xE8), EIGHT(0xF0),       \
      EIGHT(0xF8)

/* From 0x80 on; the five unassigned ones stay C1 controls, as browsers have it. */
static const uint16_t windows_1252[128] = {
    0x20AC,      0x0081,      0x201A,      0x0192,      0x201E, 0x2026, 0x2020, 0x2021,
    0x02C6,      0x2030,      0x0160,      0x2039,      0x0152, 0x008D, 0x017D, 0x008F,
    0x0090,      0x2018,      0x2019,      0x201C,      0x201D, 0x2022, 0x2013, 0x2014,
    0x02DC,      0x2122,      0x0161,      0x203A,      0x0153, 0x009D, 0x017E, 0x0178,
    EIGHT(0xA0), EIGHT(0xA8), EIGHT(0xB0), EIGHT(0xB8), UPPER};

static const uint16_t iso_8859_15[128] = {
    EIGHT(0x80), EIGHT(0x88), EIGHT(0x90), EIGHT(0x98), 0xA0,   0xA1, 0xA2, 0xA3, 0x20AC, 0xA5,
    0x0160,      0xA7,        0x0161,      0xA9,        0xAA,   0xAB, 0xAC, 0xAD, 0xAE,   0xAF,
    0xB0,        0xB1,        0xB2,        0xB3,        0x017D, 0xB5, 0xB6, 0xB7, 0x017E, 0xB9,
    0xBA,        0xBB,        0x0152,      0x0153,      0x0178, 0xBF, UPPER};

/* Octets of which each is a character: those from 0x80 on by the table, the others ASCII. */
static bool from_table(struct lm_arena *a, const uint16_t *upper, struct lm_str s,
                       struct lm_str *utf8_out) {
  const char *end = s.p + s.n;
  const char *p = s.p + lm_ascii_span(s);
  char *out;
  char *o;
  *utf8_out = s;
  if (p == end) return true;
  if (s.n > SIZE_MAX / 4 || (out = lm_arena_alloc(a, s.n * 3 + LM_ASCII_SLACK)) == NULL)
    return false;
  memcpy(out, s.p, (size_t)(p - s.p));
  o = out + (p - s.p);
  for (;;) {
    while (p < end && (*p & 0x80)) o = lm_utf8_put(o, upper[(unsigned char)*p++ - 0x80]);
    if (p == end) break;
    p = lm_ascii_copy(p, end, &o);
  }
  *utf8_out = (struct lm_str){out, (size_t)(o - out)};
  return true;
}

bool lm_charset_guess(struct lm_arena *a, struct lm_str bytes, struct lm_str *utf8_out) {
  *utf8_out = bytes;
  return lm_utf8_valid(bytes) || from_table(a, windows_1252, bytes, utf8_out);
}

/* --- iconv ----------------------------------------------------------------------------------- */

/* How many bytes to pass over where iconv stopped: UTF-16 and UTF-32 go by units. */
static size_t unit_of(const char *name) {
  if (strncmp(name, "UTF-16", 6) == 0) return 2;
  return strncmp(name, "UTF-32", 6) == 0 ? 4 : 1;
}

/* One call of iconv over a window of the input, which moves on. False when memory is short. */
static bool iconv_step(iconv_t cd, struct lm_str *in, size_t unit, struct lm_buf *out) {
  union {
    const char *in;
    char *iconv; /* iconv's prototype lacks the const; it does not write */
  } p;
  char *o = lm_buf_room(out, ICONV_ROOM);
  size_t room = ICONV_ROOM;
  size_t left = in->n < ICONV_WINDOW ? in->n : ICONV_WINDOW;
  size_t bad;
  size_t used;
  if (o == NULL) return false;
  p.in = in->p;
  bad = iconv(cd, &p.iconv, &left, &o, &room);
  lm_buf_added(out, ICONV_ROOM - room);
  used = (size_t)(p.in - in->p);
  in->p += used;
  in->n -= used;
  if (bad != (size_t)-1 || errno == E2BIG) return true;
  if (errno == EINVAL && left < in->n && used > 0) return true; /* cut by the window only */
  used = errno == EINVAL || in->n < unit ? left : unit;
  in->p += used;
  in->n -= used;
  return lm_buf_put(out, LM_UTF8_REPLACEMENT, 3);
}

/* Brings a stateful charset to its end: some hold back a last character. */
static bool iconv_finish(iconv_t cd, struct lm_buf *out) {
  char *o = lm_buf_room(out, ICONV_ROOM);
  size_t room = ICONV_ROOM;
  if (o == NULL) return false;
  iconv(cd, NULL, NULL, &o, &room);
  lm_buf_added(out, ICONV_ROOM - room);
  return true;
}

enum opened { OPENED, NOT_KNOWN, NO_MEMORY };

/* The converter of that name, kept or opened now. */
static iconv_t open_kept(struct lm_converters *kept, const char *name) {
  iconv_t cd;
  unsigned i;
  for (i = 0; kept && i < LM_CONVERTERS; i++) {
    if (kept->cd[i] == NULL || strcmp(kept->name[i], name) != 0) continue;
    iconv(kept->cd[i], NULL, NULL, NULL, NULL);
    return kept->cd[i];
  }
  cd = iconv_open("UTF-8", name);
  if (cd == (iconv_t)-1 || kept == NULL) return cd;
  i = kept->next++ % LM_CONVERTERS;
  if (kept->cd[i]) iconv_close(kept->cd[i]);
  kept->cd[i] = cd;
  strcpy(kept->name[i], name);
  return cd;
}

void lm_converters_free(struct lm_converters *kept) {
  unsigned i;
  for (i = 0; i < LM_CONVERTERS; i++) {
    if (kept->cd[i]) iconv_close(kept->cd[i]);
    kept->cd[i] = NULL;
  }
  for (i = 0; i < LM_PAIRS; i++) {
    lm_pairs_free(kept->pairs[i]);
    kept->pairs[i] = NULL;
  }
}

/* By tables of the characters; NOT_KNOWN where the charset or the text is not of that kind. */
static enum opened from_pairs(struct lm_arena *a, struct lm_converters *kept, const char *name,
                              iconv_t cd, struct lm_str s, struct lm_str *utf8_out) {
  unsigned which = kept && kept->lasting ? lm_pairs_find(name) : LM_PAIRS;
  char *out;
  size_t n;
  if (which == LM_PAIRS) return NOT_KNOWN;
  if (s.n > SIZE_MAX / 4) return NO_MEMORY;
  if ((out = lm_arena_alloc(a, s.n * 3 + LM_ASCII_SLACK)) == NULL) return NO_MEMORY;
  if (!lm_pairs_convert(&kept->pairs[which], cd, s, out, &n)) return NOT_KNOWN;
  *utf8_out = (struct lm_str){out, n};
  return OPENED;
}

static enum opened from_iconv(struct lm_arena *a, struct lm_converters *kept, const char *name,
                              struct lm_str s, struct lm_str *utf8_out) {
  struct lm_buf out = {NULL, 0, 0, 0};
  iconv_t cd = open_kept(kept, name);
  enum opened paired;
  bool ok = true;
  if (cd == (iconv_t)-1) return errno == ENOMEM ? NO_MEMORY : NOT_KNOWN;
  paired = from_pairs(a, kept, name, cd, s, utf8_out);
  if (paired != NOT_KNOWN) return paired;
  while (ok && s.n > 0) ok = iconv_step(cd, &s, unit_of(name), &out);
  ok = ok && iconv_finish(cd, &out);
  if (kept == NULL) iconv_close(cd);
  /* glibc passes surrogates and the like through in a few charsets: the result is checked. */
  ok = ok && (*utf8_out = lm_arena_copy(a, lm_buf_str(&out))).p != NULL;
  lm_buf_free(&out);
  return ok && lm_utf8_repair(a, *utf8_out, utf8_out) ? OPENED : NO_MEMORY;
}

/* --- names ----------------------------------------------------------------------------------- */

enum way { BY_GUESS, BY_UTF8, BY_LATIN_1252, BY_LATIN_9, BY_UTF16, BY_ICONV };

/* By the name's letters and digits in lower case. Left out is what iconv knows by the same name and
** means the same by. */
static const struct alias {
  const char *key;
  enum way way;
  const char *name;
} aliases[] = {
    {"utf8", BY_UTF8, NULL},
    {"unicode11utf8", BY_UTF8, NULL},
    {"utf8mb4", BY_UTF8, NULL},
    {"cp65001", BY_UTF8, NULL},
    {"xunknown", BY_GUESS, NULL},
    {"unknown8bit", BY_GUESS, NULL},
    {"8bit", BY_GUESS, NULL},
    {"binary", BY_GUESS, NULL},
    {"default", BY_GUESS, NULL},
    {"usascii", BY_GUESS, NULL},
    {"ascii", BY_GUESS, NULL},
    {"us", BY_GUESS, NULL},
    {"ansix341968", BY_GUESS, NULL},
    {"iso646us", BY_GUESS, NULL},
    {"iso88591", BY_LATIN_1252, NULL},
    {"iso885911987", BY_LATIN_1252, NULL},
    {"latin1", BY_LATIN_1252, NULL},
    {"l1", BY_LATIN_1252, NULL},
    {"cp819", BY_LATIN_1252, NULL},
    {"ibm819", BY_LATIN_1252, NULL},
    {"windows1252", BY_LATIN_1252, NULL},
    {"cp1252", BY_LATIN_1252, NULL},
    {"xcp1252", BY_LATIN_1252, NULL},
    {"ansi", BY_LATIN_1252, NULL},
    {"iso885915", BY_LATIN_9, NULL},
    {"latin9", BY_LATIN_9, NULL},
    {"utf16", BY_UTF16, NULL},
    {"unicode", BY_UTF16, NULL},
    {"ucs2", BY_UTF16, NULL},
    {"iso10646ucs2", BY_UTF16, NULL},
    {"utf7", BY_ICONV, "UTF-7"},
    {"unicode11utf7", BY_ICONV, "UTF-7"},
    {"unicode20utf7", BY_ICONV, "UTF-7"},
    {"xunicode20utf7", BY_ICONV, "UTF-7"},
    {"gb2312", BY_ICONV, "GB18030"},
    {"gb23121980", BY_ICONV, "GB18030"},
    {"gb231280", BY_ICONV, "GB18030"},
    {"csgb2312", BY_ICONV, "GB18030"},
    {"euccn", BY_ICONV, "GB18030"},
    {"xeuccn", BY_ICONV, "GB18030"},
    {"cngb", BY_ICONV, "GB18030"},
    {"gbk", BY_ICONV, "GB18030"},
    {"xgbk", BY_ICONV, "GB18030"},
    {"cp936", BY_ICONV, "GB18030"},
    {"windows936", BY_ICONV, "GB18030"},
    {"chinesegb2312", BY_ICONV, "GB18030"},
    {"big5", BY_ICONV, "BIG5-HKSCS"},
    {"cnbig5", BY_ICONV, "BIG5-HKSCS"},
    {"xxbig5", BY_ICONV, "BIG5-HKSCS"},
    {"chinesebig5", BY_ICONV, "BIG5-HKSCS"},
    {"windows950", BY_ICONV, "CP950"},
    {"ksc56011987", BY_ICONV, "CP949"},
    {"ksc5601", BY_ICONV, "CP949"},
    {"ksc56011989", BY_ICONV, "CP949"},
    {"ksx1001", BY_ICONV, "CP949"},
    {"korean", BY_ICONV, "CP949"},
    {"euckr", BY_ICONV, "CP949"},
    {"xeuckr", BY_ICONV, "CP949"},
    {"uhc", BY_ICONV, "CP949"},
    {"xwindows949", BY_ICONV, "CP949"},
    {"windows949", BY_ICONV, "CP949"},
    {"shiftjis", BY_ICONV, "CP932"},
    {"sjis", BY_ICONV, "CP932"},
    {"xsjis", BY_ICONV, "CP932"},
    {"mskanji", BY_ICONV, "CP932"},
    {"windows31j", BY_ICONV, "CP932"},
    {"cswindows31j", BY_ICONV, "CP932"},
    {"windows932", BY_ICONV, "CP932"},
    {"eucjp", BY_ICONV, "EUC-JP-MS"},
    {"xeucjp", BY_ICONV, "EUC-JP-MS"},
    {"xeuc", BY_ICONV, "EUC-JP-MS"},
    {"iso88599", BY_ICONV, "CP1254"},
    {"latin5", BY_ICONV, "CP1254"},
    {"tis620", BY_ICONV, "CP874"},
    {"iso885911", BY_ICONV, "CP874"},
    {"windows874", BY_ICONV, "CP874"},
    {"iso88598i", BY_ICONV, "CP1255"},
    {"iso88598e", BY_ICONV, "ISO-8859-8"},
    {"logical", BY_ICONV, "CP1255"},
    {"visual", BY_ICONV, "ISO-8859-8"},
    {"iso88596i", BY_ICONV, "ISO-8859-6"},
    {"iso88596e", BY_ICONV, "ISO-8859-6"},
    {"koi", BY_ICONV, "KOI8-R"},
    {"koi8", BY_ICONV, "KOI8-R"},
    {"xkoi8r", BY_ICONV, "KOI8-R"},
    {"xmaccyrillic", BY_ICONV, "MAC-CYRILLIC"},
    {"xmacroman", BY_ICONV, "MACINTOSH"},
    {"macroman", BY_ICONV, "MACINTOSH"},
    {"xmac", BY_ICONV, "MACINTOSH"},
};

/* The name's letters and digits in lower case: "ISO_8859-1:1987", `"utf-8";` and "iso8859-1 " all
** lose what differs. False where it is too long to be a name. */
static bool key_of(struct lm_str charset, char *key) {
  size_t i;
  size_t n = 0;
  for (i = 0; i < charset.n; i++) {
    if (!lm_is(charset.p[i], LM_ALPHA | LM_DIGIT)) continue;
    if (n == NAME_MAX_LEN) return false;
    key[n++] = lm_lower(charset.p[i]);
  }
  key[n] = '\0';
  return true;
}

static const struct alias *find_alias(const char *key) {
  size_t i;
  for (i = 0; i < sizeof aliases / sizeof *aliases; i++) {
    if (*key == *aliases[i].key && strcmp(key, aliases[i].key) == 0) return &aliases[i];
  }
  return NULL;
}

/* The name as iconv may know it: the families that are written in many ways are brought into one
** form, others keep their own. */
static void iconv_name(struct lm_str charset, const char *key, char *name) {
  static const struct {
    const char *prefix;
    const char *iconv;
  } families[] = {{"iso8859", "ISO-8859-"}, {"windows", "CP"}, {"xcp", "CP"}, {"cp", "CP"},
                  {"ibm", "IBM"},           {"koi8", "KOI8-"}};
  size_t i;
  size_t n = 0;
  for (i = 0; i < sizeof families / sizeof *families; i++) {
    size_t len = strlen(families[i].prefix);
    if (strncmp(key, families[i].prefix, len) != 0 || key[len] == '\0') continue;
    strcpy(name, families[i].iconv);
    n = strlen(name);
    for (key += len; *key; key++) name[n++] = lm_upper(*key);
    name[n] = '\0';
    return;
  }
  for (i = 0; i < charset.n && n < NAME_MAX_LEN; i++) {
    char c = charset.p[i];
    if (lm_is(c, LM_ALPHA | LM_DIGIT) || (c != '\0' && strchr("-_.:", c))) name[n++] = lm_upper(c);
  }
  name[n] = '\0';
}

/* Without a byte order mark big-endian (RFC 2781 §4.3), unless every other byte says otherwise:
** Windows mailers leave the mark out. */
static const char *utf16_order(struct lm_str *s) {
  bool le = s->n >= 2 && s->p[0] != '\0' && s->p[1] == '\0';
  if (s->n < 2) return "UTF-16BE";
  if ((unsigned char)s->p[0] + (unsigned char)s->p[1] == 0xFF + 0xFE && s->p[0] != s->p[1]) {
    le = (unsigned char)s->p[0] == 0xFF;
    s->p += 2;
    s->n -= 2;
  }
  return le ? "UTF-16LE" : "UTF-16BE";
}

static bool by_name(struct lm_arena *a, struct lm_converters *kept, const char *name,
                    struct lm_str s, struct lm_str *utf8_out) {
  const uint16_t *upper = lm_charset_table(name);
  if (upper) return from_table(a, upper, s, utf8_out);
  switch (name[0] ? from_iconv(a, kept, name, s, utf8_out) : NOT_KNOWN) {
  case OPENED: return true;
  case NOT_KNOWN: return lm_charset_guess(a, s, utf8_out);
  default: return false;
  }
}

bool lm_charset_to_utf8(struct lm_arena *a, struct lm_str charset, struct lm_str bytes,
                        struct lm_str *utf8_out) {
  return lm_charset_convert(a, NULL, charset, bytes, utf8_out);
}

bool lm_charset_convert(struct lm_arena *a, struct lm_converters *kept, struct lm_str charset,
                        struct lm_str bytes, struct lm_str *utf8_out) {
  char key[NAME_MAX_LEN + 1];
  char name[NAME_MAX_LEN + 16];
  const struct alias *found;
  if (bytes.n == 0 || !key_of(charset, key)) return lm_charset_guess(a, bytes, utf8_out);
  found = find_alias(key);
  switch (found ? found->way : BY_ICONV) {
  case BY_UTF8: return lm_utf8_repair(a, bytes, utf8_out);
  case BY_LATIN_1252: return from_table(a, windows_1252, bytes, utf8_out);
  case BY_LATIN_9: return from_table(a, iso_8859_15, bytes, utf8_out);
  case BY_GUESS: return lm_charset_guess(a, bytes, utf8_out);
  case BY_UTF16: return by_name(a, kept, utf16_order(&bytes), bytes, utf8_out);
  default: break;
  }
  if (found) return by_name(a, kept, found->name, bytes, utf8_out);
  iconv_name(charset, key, name);
  return by_name(a, kept, name, bytes, utf8_out);
}

bool lm_charset_known(struct lm_str charset) {
  char key[NAME_MAX_LEN + 1];
  char name[NAME_MAX_LEN + 16];
  iconv_t cd;
  if (!key_of(charset, key)) return false;
  if (find_alias(key)) return true;
  iconv_name(charset, key, name);
  if (name[0] == '\0') return false;
  if (lm_charset_table(name)) return true;
  cd = iconv_open("UTF-8", name);
  if (cd == (iconv_t)-1) return false;
  iconv_close(cd);
  return true;
}

/* --- the other way ----------------------------------------------------------------------------- */

/* One call of iconv; false where it stopped for any reason but a full window. */
static enum lm_charset_fit iconv_exactly(iconv_t cd, struct lm_str *in, struct lm_buf *out) {
  union {
    const char *in;
    char *iconv;
  } p;
  char *o = lm_buf_room(out, ICONV_ROOM);
  size_t room = ICONV_ROOM, left = in->n, lossy;
  if (o == NULL) return LM_CHARSET_MEMORY;
  p.in = in->p;
  lossy = iconv(cd, &p.iconv, &left, &o, &room);
  lm_buf_added(out, ICONV_ROOM - room);
  in->p = p.in;
  in->n = left;
  if (lossy == 0 || (lossy == (size_t)-1 && errno == E2BIG)) return LM_CHARSET_FITS;
  return LM_CHARSET_UNFIT;
}

enum lm_charset_fit lm_charset_from_utf8(struct lm_str utf8, struct lm_str charset,
                                         struct lm_buf *out) {
  char key[NAME_MAX_LEN + 1];
  char name[NAME_MAX_LEN + 16];
  struct lm_buf made = {NULL, 0, 0, 0};
  iconv_t cd;
  enum lm_charset_fit fit = LM_CHARSET_FITS;
  if (!key_of(charset, key)) return LM_CHARSET_UNFIT;
  iconv_name(charset, key, name);
  if (name[0] == '\0') return LM_CHARSET_UNFIT; /* to iconv that is the charset of the locale */
  cd = iconv_open(name, "UTF-8");
  if (cd == (iconv_t)-1) return errno == ENOMEM ? LM_CHARSET_MEMORY : LM_CHARSET_UNFIT;
  while (fit == LM_CHARSET_FITS && utf8.n > 0) fit = iconv_exactly(cd, &utf8, &made);
  if (fit == LM_CHARSET_FITS && !(iconv_finish(cd, &made) && lm_buf_puts(out, lm_buf_str(&made)))) {
    fit = LM_CHARSET_MEMORY;
  }
  iconv_close(cd);
  lm_buf_free(&made);
  return fit;
}
