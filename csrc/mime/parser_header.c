/*
** parser_header.c: the header of a part, field by field, and what it says of the part.
**
** A field is told when it is whole, and with it the line behind it, since a stray line belongs to the
** header only where a field follows. Of the fields two count here: Content-Type (RFC 2045 §5) and
** Content-Transfer-Encoding (§6), the first of each. What cannot be read is told as a defect.
** Invariant: no limit is passed: a header that is too large ends there, and the rest is content.
*/
#include "base/chars.h"
#include "mime/params.h"
#include "mime/parser_state.h"
#include "mime/scan.h"

/* Where a header field, and the line behind it, surely are in the window: a stray line is one of the
** header where a field follows. */
static size_t header_window(const struct lm_parser *p) {
  size_t line = p->limits.line < p->limits.header ? p->limits.line : p->limits.header;
  size_t want = line < SIZE_MAX / 4 ? 2 * line + 4 : SIZE_MAX / 2;
  size_t there = p->window.n - p->at;
  return there < want ? there : want;
}

/* True where the field at `at` can be told from what there is. Remembers how far it looked. */
static bool field_is_whole(struct lm_parser *p) {
  const char *begin = lm_parser_here(p);
  const char *end = lm_parser_end(p);
  const char *from = begin + p->scanned;
  if (p->final) return true;
  for (;;) {
    const char *stop = lm_scan_line_end(from, end);
    const char *next = lm_scan_next_line(stop, end);
    p->scanned = (size_t)(stop - begin);
    if (stop == end || (*stop == '\r' && next == end)) break;
    if (p->next_line || stop == begin) return true;
    if (next == end) break;
    from = next;
    p->next_line = !lm_is(*next, LM_SPACE);
    p->scanned = (size_t)(next - begin);
  }
  return (size_t)(end - begin) > header_window(p);
}

static bool read_type(struct lm_parser *p, struct lm_str value) {
  struct lm_media m;
  struct lm_params params;
  if (p->r.has_type) {
    lm_parser_defect(p, value.p, "a second Content-Type");
    return true;
  }
  p->r.has_type = true;
  p->r.shape = LM_MIME_LEAF;
  if (!lm_media_read(value, &m)) lm_parser_defect(p, value.p, "no media type");
  if (LM_IS(m.type, "multipart")) {
    p->r.shape = LM_MIME_MULTIPART;
    p->r.digest = LM_IS(m.subtype, "digest");
    if (!lm_params_read(&p->arena, value, p->limits.parameters, &params)) return false;
    p->r.boundary = lm_arena_copy(&p->arena, lm_params_get(&params, LM_STR("boundary")));
    return p->r.boundary.p != NULL;
  }
  if (LM_IS(m.type, "message") &&
      (LM_IS(m.subtype, "rfc822") || LM_IS(m.subtype, "global") || LM_IS(m.subtype, "news"))) {
    p->r.shape = LM_MIME_MESSAGE;
  }
  return true;
}

/* mechanism := token; quotes before it and whatever stands behind it are passed over */
static void read_transfer(struct lm_parser *p, struct lm_str value) {
  const char *from = value.p;
  const char *end = value.p + value.n;
  const char *stop;
  if (p->r.has_transfer) {
    lm_parser_defect(p, value.p, "a second Content-Transfer-Encoding");
    return;
  }
  p->r.has_transfer = true;
  while (from < end && !lm_is(*from, LM_MIME_TOKEN)) from++;
  for (stop = from; stop < end && lm_is(*stop, LM_MIME_TOKEN);) stop++;
  if (!lm_transfer_find((struct lm_str){from, (size_t)(stop - from)}, &p->r.transfer)) {
    lm_parser_defect(p, value.p, "an unknown Content-Transfer-Encoding");
  }
}

static bool note_field(struct lm_parser *p, const struct lm_header_field *f) {
  if (f->name.n == 12 && LM_IS(f->name, "Content-Type")) return read_type(p, f->value);
  if (f->name.n == 25 && LM_IS(f->name, "Content-Transfer-Encoding")) read_transfer(p, f->value);
  return true;
}

/* A boundary ends in no white space (RFC 2046 §5.1.1), and in a delimiter none can be told. */
static bool take_boundary(struct lm_parser *p, struct lm_parser_frame *f) {
  struct lm_str b = p->r.boundary;
  while (b.n && lm_is(b.p[b.n - 1], LM_SPACE)) b.n--;
  f->digest = p->r.digest;
  f->guess = b.n == 0 || b.n > LM_BOUNDARY;
  if (f->guess) return true;
  if (lm_parser_is_taken(p, b))
    lm_parser_defect(p, lm_parser_here(p), "a boundary that a part around has, too");
  return lm_parser_set_boundary(p, f, b);
}

/* A message or multipart inside is opened where the limits allow, and where it can be read as it
** stands. */
static enum lm_mime_shape shape_of(struct lm_parser *p) {
  enum lm_mime_shape shape = p->r.shape;
  if (shape == LM_MIME_LEAF) return shape;
  if (p->r.transfer != LM_TRANSFER_IDENTITY) {
    lm_parser_defect(p, lm_parser_here(p), "an encoded multipart or message");
    if (shape == LM_MIME_MESSAGE) return LM_MIME_LEAF;
  }
  if (p->depth >= p->limits.depth) {
    lm_parser_limit_passed(p, LM_PARSER_MAX_DEPTH, lm_parser_here(p));
    return LM_MIME_LEAF;
  }
  if (shape == LM_MIME_MESSAGE && p->parts >= p->limits.parts) {
    lm_parser_limit_passed(p, LM_PARSER_MAX_PARTS, lm_parser_here(p));
    return LM_MIME_LEAF;
  }
  return shape;
}

/* The header has ended, and `at` is where the body begins. */
static enum lm_parser_step end_header(struct lm_parser *p, struct lm_mime_event *ev) {
  struct lm_parser_frame *f = &p->frames[p->depth - 1];
  f->shape = shape_of(p);
  if (f->shape == LM_MIME_MULTIPART && !take_boundary(p, f)) return LM_STEP_FAIL;
  lm_parser_event(p, ev, LM_MIME_CONTENT, lm_parser_offset(p, lm_parser_here(p)));
  ev->shape = f->shape;
  ev->transfer = p->r.transfer;
  ev->digest = p->depth > 1 && p->frames[p->depth - 2].digest;
  lm_parser_consume_to(
      p, lm_parser_here(p)); /* how far the header was looked through says nothing of the body */
  p->line_start = true;
  p->state = f->shape == LM_MIME_LEAF        ? PARSER_BODY
             : f->shape == LM_MIME_MULTIPART ? PARSER_PREAMBLE
                                             : PARSER_OPEN;
  return LM_STEP_EVENT;
}

/* True where the field of that size fits; it is then counted. */
static bool header_fits(struct lm_parser *p, size_t size) {
  if (size > p->limits.line && p->limits.line < p->limits.header) {
    lm_parser_limit_passed(p, LM_PARSER_MAX_LINE, lm_parser_here(p));
    return false;
  }
  if (size > p->limits.header - p->r.size) {
    lm_parser_limit_passed(p, LM_PARSER_MAX_HEADER, lm_parser_here(p));
    return false;
  }
  if (size > p->limits.headers - p->headers) {
    lm_parser_limit_passed(p, LM_PARSER_MAX_HEADERS, lm_parser_here(p));
    return false;
  }
  p->r.size += size;
  p->headers += size;
  return true;
}

/* The next field of those that the window holds. */
static enum lm_parser_step next_field(struct lm_parser *p, struct lm_mime_event *ev) {
  struct lm_str text = {lm_parser_here(p), header_window(p)};
  struct lm_header_walk w = {text, 0, 0, p->r.begun};
  struct lm_header_field field;
  const char *begin = lm_parser_here(p);
  p->r.begun = true;
  if (lm_header_mbox(&w)) {
    if (!header_fits(p, w.at)) return end_header(p, ev);
    lm_parser_defect(p, begin, "an mbox line before the header");
    lm_parser_consume_to(p, begin + w.at);
    return LM_STEP_AGAIN;
  }
  if (!lm_header_next(&w, &field)) {
    if (w.defects) lm_parser_defect(p, begin, "no empty line behind the header");
    lm_parser_consume_to(p, begin + w.at);
    return end_header(p, ev);
  }
  if (field.name.n == 0 && p->r.size == 0 && p->depth > 1) { /* a part that is all text */
    lm_parser_defect(p, begin, "no empty line behind the header");
    return end_header(p, ev);
  }
  if (!header_fits(p, field.end)) return end_header(p, ev);
  if (w.defects) lm_parser_defect(p, begin, "a line in the header that is no field");
  if (!note_field(p, &field)) return LM_STEP_FAIL;
  lm_parser_event(p, ev, LM_MIME_FIELD, lm_parser_offset(p, begin));
  ev->field = field;
  lm_parser_consume_to(p, begin + field.end);
  ev->end = lm_parser_offset(p, lm_parser_here(p));
  return LM_STEP_EVENT;
}

/* A delimiter ends a header that has no empty line. */
static enum lm_parser_line header_delimiter(struct lm_parser *p) {
  const char *begin = lm_parser_here(p);
  struct lm_parser_delimiter d;
  enum lm_parser_line found;
  if (*begin != '-' || p->depth == 1 || p->plain_line) return LM_LINE_PLAIN;
  if (lm_parser_end(p) - begin < 2)
    found = p->final ? LM_LINE_PLAIN : LM_LINE_UNENDED;
  else
    found = begin[1] == '-' ? lm_parser_classify(p, begin, &d) : LM_LINE_PLAIN;
  p->plain_line = found == LM_LINE_PLAIN || found == LM_LINE_LATE;
  return found;
}

enum lm_parser_step lm_parser_header(struct lm_parser *p, struct lm_mime_event *ev) {
  if (p->at == p->window.n) return p->final ? end_header(p, ev) : LM_STEP_WAIT;
  switch (header_delimiter(p)) {
  case LM_LINE_DELIMITER:
    lm_parser_defect(p, lm_parser_here(p), "no empty line behind the header");
    return end_header(p, ev);
  case LM_LINE_UNENDED: lm_parser_looked_at_all(p); return LM_STEP_WAIT;
  default: return field_is_whole(p) ? next_field(p, ev) : LM_STEP_WAIT;
  }
}
