/*
** params_write.c: parameters of Content-Type, Content-Disposition and their kin, as they are written
** (RFC 2045 §5.1, RFC 2231 §3 and §4).
**
** Three forms, each the plainest that every reader gives back unchanged: a token, a quoted string of
** printable ASCII, and percent codes with their charset, cut into numbered pieces where they are long.
*/
#include "base/chars.h"
#include "base/text.h"
#include "mime/fold.h"

enum {
  PLAIN = 60, /* a value up to this may stand in one piece */
  LINE = 76   /* a line with a piece of a value */
};

static bool is_token(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    if (!lm_is(s.p[i], LM_MIME_TOKEN)) return false;
  }
  return s.n > 0 && s.n <= PLAIN;
}

/* No quote and no backslash, which readers take in two ways, and nothing like an encoded word. */
static bool is_quotable(struct lm_str s) {
  size_t i;
  if (s.n > PLAIN) return false;
  for (i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (!lm_is(c, LM_PRINT) && c != ' ') return false;
    if (c == '"' || c == '\\' || (c == '=' && i + 1 < s.n && s.p[i + 1] == '?')) return false;
  }
  return true;
}

/* attribute-char = <any CHAR except SPACE, CTLs, "*", "'", "%", or tspecials> */
static bool is_attribute(char c) {
  return lm_is(c, LM_MIME_TOKEN) && c != '*' && c != '\'' && c != '%';
}

static bool put_octet(struct lm_fold *f, char c) {
  static const char hex[] = "0123456789ABCDEF";
  char code[3] = {'%', hex[(unsigned char)c >> 4], hex[(unsigned char)c & 15]};
  return lm_fold_put(f, is_attribute(c) ? (struct lm_str){&c, 1} : (struct lm_str){code, 3});
}

static size_t cost(struct lm_str s) {
  size_t n = 0, i;
  for (i = 0; i < s.n; i++) n += is_attribute(s.p[i]) ? 1 : 3;
  return n;
}

/* Whole characters that fit into `room`, at least one. */
static size_t fitting(struct lm_str s, size_t room) {
  size_t n = 0, used = 0;
  while (n < s.n) {
    size_t next = n + 1;
    while (next < s.n && (s.p[next] & 0xC0) == 0x80) next++;
    used += cost((struct lm_str){s.p + n, next - n});
    if (n && used > room) break;
    n = next;
  }
  return n;
}

static bool put_octets(struct lm_fold *f, struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    if (!put_octet(f, s.p[i])) return false;
  }
  return true;
}

/* name*=UTF-8''value, or name*0*=UTF-8''..; name*1*=.. */
static bool put_extended(struct lm_fold *f, struct lm_str name, struct lm_str value) {
  static const struct lm_str charset = {"UTF-8''", 7};
  size_t whole = name.n + 2 + charset.n + cost(value);
  uint64_t number;
  if (whole < LINE) {
    return lm_fold_space(f, whole, LINE) && lm_fold_put(f, name) && lm_fold_put(f, LM_STR("*=")) &&
           lm_fold_put(f, charset) && put_octets(f, value);
  }
  for (number = 0; value.n; number++) {
    size_t from, n;
    if (!lm_fold_space(f, LINE, LINE) || !lm_fold_put(f, name) || !lm_fold_put(f, LM_STR("*")))
      return false;
    from = lm_buf_len(f->out);
    if (!lm_buf_put_u64(f->out, number)) return false;
    f->column += lm_buf_len(f->out) - from;
    if (!lm_fold_put(f, LM_STR("*=")) || (number == 0 && !lm_fold_put(f, charset))) return false;
    n = fitting(value, f->column + 12 < LINE ? LINE - f->column - 1 : 11);
    if (!put_octets(f, (struct lm_str){value.p, n})) return false;
    value = (struct lm_str){value.p + n, value.n - n};
    if (value.n && !lm_fold_put(f, LM_STR(";"))) return false;
  }
  return true;
}

bool lm_fold_param(struct lm_fold *f, struct lm_str name, struct lm_str utf8) {
  bool as_token = is_token(utf8);
  if (!lm_fold_put(f, LM_STR(";"))) return false;
  if (!as_token && !is_quotable(utf8)) return put_extended(f, name, utf8);
  return lm_fold_space(f, name.n + utf8.n + 3, LINE) && lm_fold_put(f, name) &&
         lm_fold_put(f, as_token ? LM_STR("=") : LM_STR("=\"")) && lm_fold_put(f, utf8) &&
         (as_token || lm_fold_put(f, LM_STR("\"")));
}
