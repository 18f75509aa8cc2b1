/*
** tags.c: tag lists (RFC 6376 §3.2).
*/
#include "sign/tags.h"

#include "base/chars.h"

/* FWS, whichever way its lines end. */
static bool is_white(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct lm_str trim(struct lm_str s) {
  while (s.n && is_white(s.p[0])) s.p++, s.n--;
  while (s.n && is_white(s.p[s.n - 1])) s.n--;
  return s;
}

/* tag-name = ALPHA *ALNUMPUNC ; ALNUMPUNC = ALPHA / DIGIT / "_" */
static bool is_name(struct lm_str s) {
  size_t i;
  if (s.n == 0 || !lm_is(s.p[0], LM_ALPHA)) return false;
  for (i = 1; i < s.n; i++) {
    if (!lm_is(s.p[i], LM_ALPHA | LM_DIGIT) && s.p[i] != '_') return false;
  }
  return true;
}

/* VALCHAR = %x21-3A / %x3C-7E, and UTF-8 */
static bool is_value(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c == 127 || (c < 32 && !is_white(s.p[i]))) return false;
  }
  return true;
}

static bool refuse(struct lm_tags *t, const char *why) {
  t->why = why;
  return false;
}

/* tag-spec = [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS] */
static bool take(struct lm_tags *t, struct lm_str spec) {
  struct lm_tag tag;
  size_t eq = 0;
  while (eq < spec.n && spec.p[eq] != '=') eq++;
  if (eq == spec.n) return refuse(t, "a tag without a value");
  tag.name = trim((struct lm_str){spec.p, eq});
  tag.span = (struct lm_str){spec.p + eq + 1, spec.n - eq - 1};
  tag.value = trim(tag.span);
  if (!is_name(tag.name)) return refuse(t, "a tag without a name");
  if (!is_value(tag.value)) return refuse(t, "a control character");
  if (lm_tags_find(t, tag.name)) return refuse(t, "a tag twice");
  if (t->n == LM_SIGN_TAGS) return refuse(t, "too many tags");
  t->tag[t->n++] = tag;
  return true;
}

/* tag-list = tag-spec *( ";" tag-spec ) [ ";" ] */
bool lm_tags_read(struct lm_str text, struct lm_tags *out) {
  out->n = 0;
  out->why = NULL;
  text = trim(text);
  while (text.n) {
    size_t end = 0;
    while (end < text.n && text.p[end] != ';') end++;
    if (!take(out, (struct lm_str){text.p, end})) return false;
    if (end == text.n) break;
    text.p += end + 1;
    text.n -= end + 1;
  }
  return out->n > 0 || refuse(out, "no tags");
}

const struct lm_tag *lm_tags_find(const struct lm_tags *t, struct lm_str name) {
  size_t i;
  for (i = 0; i < t->n; i++) {
    if (lm_str_eq(t->tag[i].name, name)) return &t->tag[i];
  }
  return NULL;
}

bool lm_tags_unfold(struct lm_buf *out, struct lm_str value) {
  char *room = lm_buf_room(out, value.n);
  size_t i, n = 0;
  if (room == NULL) return value.n == 0;
  for (i = 0; i < value.n; i++) {
    if (!is_white(value.p[i])) room[n++] = value.p[i];
  }
  lm_buf_added(out, n);
  return true;
}
