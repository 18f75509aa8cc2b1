/*
** header.c: the header fields of a message, one after another.
*/
#include "mime/header.h"

#include "base/chars.h"
#include "mime/scan.h"

struct lm_header_walk lm_header_walk(struct lm_str message) {
  return (struct lm_header_walk){message, 0, 0, false};
}

/* Where the line at `at` ends, and to *next_out where the next begins. A bare CR ends a line here
** because it will when the message is sent (base/dot.h): no field hides behind one. */
static size_t line_end(struct lm_str s, size_t at, size_t *next_out) {
  const char *stop = s.p + s.n;
  const char *end = lm_scan_line_end(s.p + at, stop);
  *next_out = (size_t)(lm_scan_next_line(end, stop) - s.p);
  return (size_t)(end - s.p);
}

static bool is_folded(struct lm_str s, size_t at) {
  return at < s.n && lm_is(s.p[at], LM_SPACE);
}

/* field-name = 1*ftext; obs-optional allows white space before the colon. The offset of the colon of
** the field that begins at `at`, its name to *name_out; 0 where none begins. */
static size_t colon(struct lm_str s, size_t at, struct lm_str *name_out) {
  size_t end = at;
  size_t p;
  while (end < s.n && lm_is(s.p[end], LM_PRINT) && s.p[end] != ':') end++;
  *name_out = (struct lm_str){s.p + at, end - at};
  for (p = end; p < s.n && lm_is(s.p[p], LM_SPACE);) p++;
  return end > at && p < s.n && s.p[p] == ':' ? p : 0;
}

/* mbox: "From " begins the line that a delivery agent put before the header, ">From " the same when
** it was quoted on the way. */
static bool is_mbox_line(struct lm_str line) {
  return (line.n >= 5 && lm_str_eq((struct lm_str){line.p, 5}, LM_STR("From "))) ||
         (line.n >= 6 && lm_str_eq((struct lm_str){line.p, 6}, LM_STR(">From ")));
}

bool lm_header_mbox(struct lm_header_walk *w) {
  size_t next;
  size_t end;
  struct lm_str name;
  if (w->begun) return false;
  w->begun = true;
  if (w->at >= w->text.n) return false;
  end = line_end(w->text, w->at, &next);
  if (!is_mbox_line((struct lm_str){w->text.p + w->at, end - w->at})) return false;
  if (colon(w->text, w->at, &name)) return false;
  w->at = next;
  w->defects++;
  return true;
}

/* The field with the colon at `at` to the end of its last line; takes the folds. */
static void take_field(struct lm_header_walk *w, size_t at, struct lm_header_field *out) {
  size_t next;
  size_t end = line_end(w->text, at, &next);
  while (is_folded(w->text, next)) end = line_end(w->text, next, &next);
  out->value = (struct lm_str){w->text.p + at + 1, end - at - 1};
  out->end = w->at = next;
}

/* A line without a colon, or a fold without a field: part of the header if a field follows, else the
** body begins here. */
static bool take_stray(struct lm_header_walk *w, size_t end, size_t next,
                       struct lm_header_field *out) {
  struct lm_str name;
  w->defects++;
  if (!colon(w->text, next, &name)) return false;
  out->name = (struct lm_str){w->text.p + w->at, 0};
  out->value = (struct lm_str){w->text.p + w->at, end - w->at};
  out->end = w->at = next;
  return true;
}

bool lm_header_next(struct lm_header_walk *w, struct lm_header_field *out) {
  size_t end;
  size_t next;
  size_t at;
  lm_header_mbox(w);
  if (w->at >= w->text.n) return false;
  out->start = w->at;
  if ((at = colon(w->text, w->at, &out->name)) != 0) {
    take_field(w, at, out);
    return true;
  }
  end = line_end(w->text, w->at, &next);
  if (end > w->at) return take_stray(w, end, next, out);
  w->text.n = w->at; /* the walk has ended: nothing behind the empty line is a field */
  w->at = next;
  return false;
}
