/*
** addr_format.c: addresses and names as text for a header field.
**
** What is written is read back as the same by addr.c. Nothing is folded: the composer does that.
*/
#include "mime/addr.h"

#include <string.h>

#include "base/chars.h"
#include "mime/charset.h"
#include "mime/word2047.h"

/* quoted-string with the fewest backslashes. Room for 2n + 2 octets. */
static char *put_quoted(char *o, struct lm_str s) {
  size_t i;
  *o++ = '"';
  for (i = 0; i < s.n; i++) {
    if (s.p[i] == '"' || s.p[i] == '\\') *o++ = '\\';
    *o++ = s.p[i];
  }
  *o++ = '"';
  return o;
}

/* dot-atom-text = 1*atext *("." 1*atext), with UTF-8 */
static bool is_dot_atom(struct lm_str s) {
  size_t i;
  bool word = false;
  for (i = 0; i < s.n; i++) {
    if (s.p[i] == '.') {
      if (!word) return false;
      word = false;
    } else {
      if (!lm_is(s.p[i], LM_MIME_ATEXT) && !(s.p[i] & 0x80)) return false;
      word = true;
    }
  }
  return word;
}

bool lm_addr_spec(struct lm_arena *a, const struct lm_addr *addr, struct lm_str *out) {
  char *o = lm_arena_alloc(a, addr->local.n * 2 + addr->domain.n + 4);
  out->p = o;
  if (o == NULL) return false;
  out->n = 0;
  if (addr->local.n == 0 && addr->domain.n == 0) return true;
  if (is_dot_atom(addr->local)) {
    memcpy(o, addr->local.p, addr->local.n);
    o += addr->local.n;
  } else {
    o = put_quoted(o, addr->local);
  }
  if (addr->domain.n) {
    *o++ = '@';
    memcpy(o, addr->domain.p, addr->domain.n);
    o += addr->domain.n;
  }
  out->n = (size_t)(o - out->p);
  return true;
}

enum way { AS_IT_IS, QUOTED, ENCODED };

/* How a name must be written. Dots and apostrophes round a name mean something to old readers:
** quoted. What looks like an encoded word must not be taken for one: encoded. */
static enum way way_of(struct lm_str s) {
  enum way way = AS_IT_IS;
  size_t i;
  if (s.p[0] == ' ' || s.p[s.n - 1] == ' ' || s.p[0] == '\'') way = QUOTED;
  for (i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (c == '=' && i + 1 < s.n && s.p[i + 1] == '?') return ENCODED;
    if (c == ' ') {
      if (i > 0 && s.p[i - 1] == ' ') way = QUOTED;
      continue;
    }
    if (!lm_is(c, LM_PRINT)) return ENCODED;
    if (!lm_is(c, LM_MIME_ATEXT)) way = QUOTED;
  }
  return way;
}

static bool refuse(const char *why, const char **why_out) {
  *why_out = why;
  return false;
}

bool lm_addr_phrase(struct lm_arena *a, struct lm_str name, struct lm_str *out,
                    const char **why_out) {
  char *o;
  *out = name;
  *why_out = NULL;
  if (name.n == 0) return true;
  if (lm_str_breaks_line(name)) return refuse("a line break or NUL in a name", why_out);
  if (!lm_utf8_valid(name)) return refuse("a name that is not UTF-8", why_out);
  switch (way_of(name)) {
  case AS_IT_IS: return true;
  case ENCODED: return lm_word2047_encode(a, name, out);
  default: break;
  }
  if ((o = lm_arena_alloc(a, name.n * 2 + 2)) == NULL) return false;
  *out = (struct lm_str){o, (size_t)(put_quoted(o, name) - o)};
  return true;
}

bool lm_addr_format(struct lm_arena *a, const struct lm_addr *addr, struct lm_str *out,
                    const char **why_out) {
  struct lm_str name;
  struct lm_str spec;
  char *o;
  if (!lm_addr_phrase(a, addr->name, &name, why_out)) return false;
  if (!lm_addr_spec(a, addr, &spec)) return refuse(NULL, why_out);
  *out = spec;
  if (name.n == 0) return true;
  if ((o = lm_arena_alloc(a, name.n + spec.n + 3)) == NULL) return refuse(NULL, why_out);
  *out = (struct lm_str){o, name.n + spec.n + 3};
  memcpy(o, name.p, name.n);
  memcpy(o + name.n, " <", 2);
  memcpy(o + name.n + 2, spec.p, spec.n);
  o[name.n + spec.n + 2] = '>';
  return true;
}
