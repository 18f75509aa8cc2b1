/*
** msgid.c: message ids.
*/
#include "mime/msgid.h"

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

/*
** msg-id = [CFWS] "<" id-left "@" id-right ">" [CFWS]
** What stands between the brackets is not judged: ids are compared, never taken apart. A second "<"
** begins again, since one that is cut off must not swallow the next.
*/
static size_t take(const char **at, const char *end, char *out) {
  const char *p = *at;
  size_t n = 0;
  for (; p < end; p++) {
    if (*p == '<') n = 0;
    if (!is_blank(*p)) out[n++] = *p;
    if (*p == '>') break;
  }
  *at = p < end ? p + 1 : end;
  return p < end && n > 2 ? n : 0;
}

size_t lm_msgid_next(struct lm_lex *x, char *out) {
  struct lm_lex_token t;
  size_t n = 0;
  while (n == 0) {
    lm_lex_next(x, &t);
    if (t.kind == LM_LEX_END) break;
    if (t.kind != LM_LEX_SPECIAL || *t.text.p != '<') continue;
    x->p = t.text.p;
    n = take(&x->p, x->end, out);
  }
  return n;
}

size_t lm_msgid_only(struct lm_str text, char *out) {
  struct lm_lex x = lm_lex(text);
  size_t n = lm_msgid_next(&x, out);
  size_t i;
  if (n) return n;
  for (i = 0; i < text.n; i++) {
    if (!is_blank(text.p[i])) out[n++] = text.p[i];
  }
  return n;
}
