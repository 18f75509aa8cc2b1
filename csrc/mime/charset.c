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

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* --- UTF-8 ----------------------------------------------------------------------------------- */

static const char *skip_ascii(const char *p, const char *end) {
  uint64_t w[2];
  while (end - p >= 16) {
    memcpy(w, p, 16);
    if ((w[0] | w[1]) & UINT64_C(0x8080808080808080)) break;
    p += 16;
  }
  while (p < end && !(*p & 0x80)) p++;
  return p;
}

static bool is_tail(const char *p, const char *end) {
  return p < end && (*p & 0xC0) == 0x80;
}

/*
** UTF8-2 = %xC2-DF UTF8-tail
** UTF8-3 = %xE0 %xA0-BF tail / %xE1-EC 2tail / %xED %x80-9F tail / %xEE-EF 2tail
** UTF8-4 = %xF0 %x90-BF 2tail / %xF1-F3 3tail / %xF4 %x80-8F 2tail
** The length of the character at `p`, to *n_out that of its well-formed beginning; 0 where it is
** broken.
*/
static size_t utf8_char(const char *p, const char *end, size_t *n_out) {
  unsigned lead = (unsigned char)p[0];
  unsigned second = p + 1 < end ? (unsigned char)p[1] : 0;
  size_t need = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  size_t n = 2;
  *n_out = 1;
  if (need == 0 || (second & 0xC0) != 0x80) return 0;
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return 0;
  if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return 0;
  while (n < need && is_tail(p + n, end)) n++;
  *n_out = n;
  return n == need ? n : 0;
}

size_t lm_utf8_span(struct lm_str s) {
  const char *p = s.p;
  const char *end;
  size_t n = 0;
  if (s.n == 0) return 0;
  end = p + s.n;
  while (p < end) {
    if (*p & 0x80) {
      if (!utf8_char(p, end, &n)) break;
      p += n;
    } else {
      p = skip_ascii(p, end);
    }
  }
  return (size_t)(p - s.p);
}

bool lm_utf8_valid(struct lm_str s) {
  return lm_utf8_span(s) == s.n;
}

/* Each longest beginning of a character that breaks off becomes one U+FFFD (Unicode §3.9). */
static bool utf8_repair(struct lm_arena *a, struct lm_str s, struct lm_str *utf8_out) {
  const char *p = s.p;
  const char *end = s.p + s.n;
  size_t good = lm_utf8_span(s);
  size_t broken = 0;
  char *out;
  char *o;
  *utf8_out = s;
  if (good == s.n) return true;
  if (s.n > SIZE_MAX / 3 || (out = lm_arena_alloc(a, s.n * 3)) == NULL) return false;
  o = out;
  while (p < end) {
    memcpy(o, p, good);
    o += good;
    p += good;
    if (p == end) break;
    utf8_char(p, end, &broken);
    memcpy(o, REPLACEMENT, 3);
    o += 3;
    p += broken;
    good = lm_utf8_span((struct lm_str){p, (size_t)(end - p)});
  }
  *utf8_out = (struct lm_str){out, (size_t)(o - out)};
  return true;
}

/* --- Latin ----------------------------------------------------------------------------------- */

/* windows-1252, 0x80 to 0x9F; the five unassigned ones stay C1 controls, as browsers have it. */
static const uint16_t cp1252[32] = {0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                    0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008D, 0x017D, 0x008F,
                                    0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                    0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178};

enum latin { LATIN_1252, LATIN_9 };

static unsigned latin_char(enum latin set, unsigned c) {
  if (c < 0xA0) return c < 0x80 || set == LATIN_9 ? c : cp1252[c - 0x80];
  if (set == LATIN_1252) return c;
  switch (c) { /* where ISO-8859-15 departs from ISO-8859-1 */
  case 0xA4: return 0x20AC;
  case 0xA6: return 0x0160;
  case 0xA8: return 0x0161;
  case 0xB4: return 0x017D;
  case 0xB8: return 0x017E;
  case 0xBC: return 0x0152;
  case 0xBD: return 0x0153;
  case 0xBE: return 0x0178;
  default: return c;
  }
}

static char *put_char(char *o, unsigned c) {
  if (c < 0x80) {
    *o++ = (char)c;
  } else if (c < 0x800) {
    *o++ = (char)(0xC0 | c >> 6);
    *o++ = (char)(0x80 | (c & 0x3F));
  } else {
    *o++ = (char)(0xE0 | c >> 12);
    *o++ = (char)(0x80 | (c >> 6 & 0x3F));
    *o++ = (char)(0x80 | (c & 0x3F));
  }
  return o;
}

/* Copies ASCII; returns where it ends. There is room for whole words. */
static const char *copy_ascii(const char *p, const char *end, char **out) {
  uint64_t w;
  char *o = *out;
  for (; end - p >= 8; p += 8, o += 8) {
    memcpy(&w, p, 8);
    if (w & UINT64_C(0x8080808080808080)) break;
    memcpy(o, &w, 8);
  }
  while (p < end && !(*p & 0x80)) *o++ = *p++;
  *out = o;
  return p;
}

/* Octets of which each is a character: those from 0x80 on by the table, the others ASCII. */
static bool from_table(struct lm_arena *a, const uint16_t *upper, struct lm_str s,
                       struct lm_str *utf8_out) {
  const char *end = s.p + s.n;
  const char *p = skip_ascii(s.p, end);
  char *out;
  char *o;
  *utf8_out = s;
  if (p == end) return true;
  if (s.n > SIZE_MAX / 4 || (out = lm_arena_alloc(a, s.n * 3)) == NULL) return false;
  memcpy(out, s.p, (size_t)(p - s.p));
  o = out + (p - s.p);
  while (p < end) {
    o = put_char(o, upper[(unsigned char)*p++ - 0x80]);
    if (p < end && !(*p & 0x80)) p = copy_ascii(p, end, &o);
  }
  *utf8_out = (struct lm_str){out, (size_t)(o - out)};
  return true;
}

static bool from_latin(struct lm_arena *a, enum latin set, struct lm_str s,
                       struct lm_str *utf8_out) {
  uint16_t upper[128];
  unsigned i;
  for (i = 0; i < 128; i++) upper[i] = (uint16_t)latin_char(set, i + 0x80);
  return from_table(a, upper, s, utf8_out);
}

bool lm_charset_guess(struct lm_arena *a, struct lm_str bytes, struct lm_str *utf8_out) {
  *utf8_out = bytes;
  return lm_utf8_valid(bytes) || from_latin(a, LATIN_1252, bytes, utf8_out);
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
  return lm_buf_put(out, REPLACEMENT, 3);
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
}

static enum opened from_iconv(struct lm_arena *a, struct lm_converters *kept, const char *name,
                              struct lm_str s, struct lm_str *utf8_out) {
  struct lm_buf out = {NULL, 0, 0, 0};
  iconv_t cd = open_kept(kept, name);
  bool ok = true;
  if (cd == (iconv_t)-1) return errno == ENOMEM ? NO_MEMORY : NOT_KNOWN;
  while (ok && s.n > 0) ok = iconv_step(cd, &s, unit_of(name), &out);
  ok = ok && iconv_finish(cd, &out);
  if (kept == NULL) iconv_close(cd);
  /* glibc passes surrogates and the like through in a few charsets: the result is checked. */
  ok = ok && (*utf8_out = lm_arena_copy(a, lm_buf_str(&out))).p != NULL;
  lm_buf_free(&out);
  return ok && utf8_repair(a, *utf8_out, utf8_out) ? OPENED : NO_MEMORY;
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
    if (strcmp(key, aliases[i].key) == 0) return &aliases[i];
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
    strcat(name, key + len);
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
  case BY_UTF8: return utf8_repair(a, bytes, utf8_out);
  case BY_LATIN_1252: return from_latin(a, LATIN_1252, bytes, utf8_out);
  case BY_LATIN_9: return from_latin(a, LATIN_9, bytes, utf8_out);
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
static bool iconv_exactly(iconv_t cd, struct lm_str *in, struct lm_buf *out) {
  union {
    const char *in;
    char *iconv;
  } p;
  char *o = lm_buf_room(out, ICONV_ROOM);
  size_t room = ICONV_ROOM, left = in->n, lossy;
  if (o == NULL) return false;
  p.in = in->p;
  lossy = iconv(cd, &p.iconv, &left, &o, &room);
  lm_buf_added(out, ICONV_ROOM - room);
  in->p = p.in;
  in->n = left;
  return lossy == 0 || (lossy == (size_t)-1 && errno == E2BIG);
}

bool lm_charset_from_utf8(struct lm_str utf8, struct lm_str charset, struct lm_buf *out) {
  char key[NAME_MAX_LEN + 1];
  char name[NAME_MAX_LEN + 16];
  struct lm_buf made = {NULL, 0, 0, 0};
  iconv_t cd;
  bool ok;
  if (!key_of(charset, key)) return false;
  iconv_name(charset, key, name);
  if (name[0] == '\0') return false; /* to iconv that is the charset of the locale */
  cd = iconv_open(name, "UTF-8");
  if (cd == (iconv_t)-1) return false;
  ok = true;
  while (ok && utf8.n > 0) ok = iconv_exactly(cd, &utf8, &made);
  ok = ok && iconv_finish(cd, &made) && lm_buf_puts(out, lm_buf_str(&made));
  iconv_close(cd);
  lm_buf_free(&made);
  return ok;
}
