/*
** survey.c: one look at each octet of a text that is to be sent.
*/
#include "mime/survey.h"

#include "base/chars.h"

static bool is_line_end(char c) {
  return c == '\r' || c == '\n';
}

/* What a line end says; `i` is at its CR or LF. Returns its length. */
static size_t line_end(struct lm_str s, size_t i, struct lm_survey *out) {
  bool crlf = s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
  out->bare = out->bare || !crlf;
  if (i && lm_is(s.p[i - 1], LM_SPACE)) out->blank_ends = true;
  return crlf ? 2 : 1;
}

void lm_survey(struct lm_str text, struct lm_survey *out) {
  size_t i = 0, start = 0;
  *out = (struct lm_survey){0, 0, 0, false, false, false};
  while (i < text.n) {
    char c = text.p[i];
    if (is_line_end(c)) {
      if (i - start > out->longest) out->longest = i - start;
      i += line_end(text, i, out);
      start = i;
      continue;
    }
    out->eight += (c & 0x80) != 0;
    out->escapes += !lm_is(c, LM_PRINT | LM_SPACE) || c == '=';
    out->nul = out->nul || c == '\0';
    i++;
  }
  if (i - start > out->longest) out->longest = i - start;
  if (i && lm_is(text.p[i - 1], LM_SPACE)) out->blank_ends = true;
}
