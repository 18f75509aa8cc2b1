/*
** charset_pairs.c: charsets of East Asia by tables that are filled as they are needed.
**
** These charsets have no state: what a pair stands for does not depend on its place. A lead octet costs some
** two hundred calls of iconv, once; there are no more than 128 of them, whatever a sender writes.
*/
#include "mime/charset_pairs.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "mime/utf8.h"

/* UNKNOWN: iconv has to be asked in place. BROKEN: the lead octet becomes U+FFFD, and the one behind it is
** looked at by itself. */
enum { UPPER = 128, TRAILS = 256, ASCII = 128, UNKNOWN = 0, BROKEN = 0xFFFD };

struct lm_pairs {
  bool ascii;             /* its lower half is ASCII; without that the tables are of no use */
  bool known[UPPER];      /* the lead octet was looked at */
  uint16_t single[UPPER]; /* what it stands for by itself; UNKNOWN: nothing */
  uint16_t *row[UPPER];   /* ... with each octet behind it */
};

unsigned lm_pairs_find(const char *name) {
  static const char *const names[LM_PAIRS] = {"GB18030", "CP932", "CP949", "CP950", "EUC-JP-MS"};
  unsigned i = 0;
  while (i < LM_PAIRS && strcmp(name, names[i]) != 0) i++;
  return i;
}

void lm_pairs_free(struct lm_pairs *t) {
  unsigned i;
  if (t == NULL) return;
  for (i = 0; i < UPPER; i++) free(t->row[i]);
  free(t);
}

/* --- what iconv says ---------------------------------------------------------------------------- */

/* `n` octets to UTF-8; how many octets of that, 0 where they are no whole characters: errno says why. (glibc's
** CP949 steps over one pair that it does not know: that one is not EILSEQ here.) */
static size_t ask(iconv_t cd, const char *p, size_t n, char *utf8, size_t room) {
  char in[ASCII];
  char *from = in;
  char *to = utf8;
  size_t left = room;
  int error = 0;
  memcpy(in, p, n);
  if (iconv(cd, &from, &n, &to, &left) == (size_t)-1) error = from == in ? errno : EINVAL;
  iconv(cd, NULL, NULL, NULL, NULL);
  errno = error;
  return error ? 0 : room - left;
}

/* The character that `n` octets are, if it is one below U+10000. */
static uint16_t character(iconv_t cd, const char *p, size_t n) {
  char utf8[16];
  size_t got = ask(cd, p, n, utf8, sizeof utf8);
  unsigned a = (unsigned char)utf8[0], b = (unsigned char)utf8[1], c = (unsigned char)utf8[2];
  uint16_t found = UNKNOWN;
  if (got == 0) return errno == EILSEQ ? BROKEN : UNKNOWN;
  if (lm_utf8_span((struct lm_str){utf8, got}) != got) return UNKNOWN;
  if (got == 1) found = (uint16_t)a;
  if (got == 2 && a >= 0xC0) found = (uint16_t)((a & 0x1F) << 6 | (b & 0x3F));
  if (got == 3 && a >= 0xE0) found = (uint16_t)((a & 0x0F) << 12 | (b & 0x3F) << 6 | (c & 0x3F));
  return found == BROKEN ? UNKNOWN : found;
}

static struct lm_pairs *new_pairs(iconv_t cd) {
  struct lm_pairs *t = calloc(1, sizeof *t);
  char all[ASCII], utf8[ASCII * 2];
  unsigned i;
  if (t == NULL) return NULL;
  for (i = 0; i < ASCII; i++) all[i] = (char)i;
  t->ascii = ask(cd, all, ASCII, utf8, sizeof utf8) == ASCII && memcmp(all, utf8, ASCII) == 0;
  return t;
}

/* What a lead octet stands for, alone or with another. False when memory is short. */
static bool look_at(struct lm_pairs *t, iconv_t cd, unsigned lead) {
  uint16_t *row;
  char pair[2];
  unsigned i;
  pair[0] = (char)(unsigned char)(lead + UPPER);
  t->single[lead] = character(cd, pair, 1);
  if (t->single[lead] == UNKNOWN) {
    if ((row = malloc(TRAILS * sizeof *row)) == NULL) return false;
    for (i = 0; i < TRAILS; i++) {
      pair[1] = (char)(unsigned char)i;
      row[i] = character(cd, pair, 2);
    }
    t->row[lead] = row;
  }
  t->known[lead] = true;
  return true;
}

/* --- converting --------------------------------------------------------------------------------- */

/* The character at `p`, and how many octets it takes; UNKNOWN where the tables cannot tell. */
static unsigned next_character(struct lm_pairs *t, iconv_t cd, const char *p, const char *end,
                               size_t *n_out) {
  unsigned lead = (unsigned char)*p - UPPER, c;
  *n_out = 1;
  if (!t->known[lead] && !look_at(t, cd, lead)) return UNKNOWN;
  if (t->single[lead] != UNKNOWN) return t->single[lead];
  if (end - p < 2) return BROKEN;
  c = t->row[lead][(unsigned char)p[1]];
  if (c != BROKEN) *n_out = 2;
  return c;
}

/* Those from `p` on up to the next of ASCII; NULL where the tables cannot tell. */
static const char *put_pairs(struct lm_pairs *t, iconv_t cd, const char *p, const char *end,
                             char **out) {
  char *o = *out;
  while (p < end && (*p & 0x80)) {
    size_t n;
    unsigned c = next_character(t, cd, p, end, &n);
    if (c == UNKNOWN) return NULL;
    o = lm_utf8_put(o, c);
    p += n;
  }
  *out = o;
  return p;
}

bool lm_pairs_convert(struct lm_pairs **kept, void *cd, struct lm_str s, char *out, size_t *n_out) {
  const char *p = s.p;
  const char *end = s.p + s.n;
  char *o = out;
  if (*kept == NULL) *kept = new_pairs(cd);
  if (*kept == NULL || !(*kept)->ascii) return false;
  while (p < end) {
    p = lm_ascii_copy(p, end, &o);
    if ((p = put_pairs(*kept, cd, p, end, &o)) == NULL) return false;
  }
  *n_out = (size_t)(o - out);
  return true;
}
