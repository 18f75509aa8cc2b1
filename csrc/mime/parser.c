/*
** parser.c: the structure of a message, from pieces of any size.
**
** A stack of parts that are open; those that are multiparts hold a boundary. In content, only lines
** that begin with "--" are looked at (scan.h), and compared with all open boundaries, the innermost
** first: so a part that is never closed ends where its parent's next part begins, and a boundary that
** is the beginning of another is no trap. The line end before a delimiter belongs to it and is held
** back until what follows is known.
** Invariant: what was decided does not depend on where the input was cut.
*/
#include "mime/parser.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/parser_state.h"
#include "mime/scan.h"

enum { GUESS_MAX = 70, ARENA_KEPT = 65536 };

/* --- life ------------------------------------------------------------------------------------------- */

void lm_parser_reset(struct lm_parser *p, const struct lm_mime_limits *limits) {
  struct lm_parser kept = *p;
  lm_buf_clear(&kept.held);
  lm_buf_clear(&kept.boundaries);
  lm_arena_trim(&kept.arena, ARENA_KEPT);
  *p = (struct lm_parser){.held = kept.held,
                          .boundaries = kept.boundaries,
                          .arena = kept.arena,
                          .frames = kept.frames,
                          .room = kept.room};
  p->limits = limits ? *limits : (struct lm_mime_limits)LM_MIME_LIMITS_DEFAULT;
  p->window.p = "";
  p->state = PARSER_OPEN;
}

struct lm_parser *lm_parser_new(const struct lm_mime_limits *limits) {
  struct lm_parser *p = calloc(1, sizeof *p);
  if (p) lm_parser_reset(p, limits);
  return p;
}

void lm_parser_free(struct lm_parser *p) {
  if (p == NULL) return;
  lm_buf_free(&p->held);
  lm_buf_free(&p->boundaries);
  lm_arena_free(&p->arena);
  free(p->frames);
  free(p);
}

/* What is left of a lent piece is kept: its owner wants the memory back. */
static bool keep(struct lm_parser *p) {
  size_t rest = p->window.n - p->at;
  if (!p->lent) return true;
  p->lent = false;
  if (!lm_buf_put(&p->held, p->window.p + p->at, rest)) return false;
  p->base += p->at;
  p->at = 0;
  p->window = lm_buf_str(&p->held);
  return true;
}

bool lm_parser_feed(struct lm_parser *p, struct lm_str piece) {
  if (p->broken) return false;
  if (piece.n == 0) return true;
  p->base += p->at;
  lm_buf_consume(&p->held, p->at);
  p->at = 0;
  if (lm_buf_len(&p->held) == 0) {
    p->window = piece;
    p->lent = true;
    return true;
  }
  if (!lm_buf_put(&p->held, piece.p, piece.n)) {
    p->broken = true;
    return false;
  }
  p->window = lm_buf_str(&p->held);
  return true;
}

void lm_parser_eof(struct lm_parser *p) {
  p->final = true;
}

/* --- what is told -------------------------------------------------------------------------------------- */

void lm_parser_defect(struct lm_parser *p, const char *at, const char *why) {
  if (p->defects_n == LM_PARSER_DEFECTS_HELD) return;
  p->defects[p->defects_n].why = why;
  p->defects[p->defects_n++].offset = lm_parser_offset(p, at);
}

void lm_parser_limit_passed(struct lm_parser *p, enum lm_parser_limit which, const char *at) {
  static const char *const words[] = {"limit passed: depth", "limit passed: parts",
                                      "limit passed: header", "limit passed: headers",
                                      "limit passed: line"};
  if (!(p->told & 1u << which)) lm_parser_defect(p, at, words[which]);
  p->told |= 1u << which;
}

/* --- the stack -------------------------------------------------------------------------------------- */

static bool grow(struct lm_parser *p) {
  size_t room = p->room ? p->room * 2 : 8;
  struct lm_parser_frame *frames;
  if (p->depth < p->room) return true;
  if ((frames = realloc(p->frames, room * sizeof *frames)) == NULL) return false;
  p->frames = frames;
  p->room = room;
  return true;
}

/* A part begins. */
static enum lm_parser_step open_part(struct lm_parser *p, struct lm_mime_event *ev) {
  bool digest = p->depth > 0 && p->frames[p->depth - 1].digest;
  if (!grow(p)) return LM_STEP_FAIL;
  memset(&p->frames[p->depth], 0, sizeof *p->frames);
  p->frames[p->depth++].boundary = lm_buf_len(&p->boundaries);
  p->parts++;
  p->r = (struct lm_parser_reading){0};
  p->r.shape = digest ? LM_MIME_MESSAGE : LM_MIME_LEAF;
  lm_arena_reset(&p->arena);
  p->state = PARSER_HEADER;
  return lm_parser_event(p, ev, LM_MIME_PART, lm_parser_offset(p, lm_parser_here(p)));
}

static uint32_t hash_of(const char *p, size_t n) {
  uint32_t h = 2166136261u;
  while (n--) h = (h ^ (unsigned char)*p++) * 16777619u;
  return h;
}

bool lm_parser_set_boundary(struct lm_parser *p, struct lm_parser_frame *f,
                            struct lm_str boundary) {
  f->boundary_n = boundary.n;
  f->hash = hash_of(boundary.p, boundary.n);
  p->boundaries.end = p->boundaries.start + f->boundary;
  return lm_buf_put(&p->boundaries, boundary.p, boundary.n);
}

/* The parts above `pop_to` end, one a step. */
static enum lm_parser_step pop(struct lm_parser *p, struct lm_mime_event *ev) {
  struct lm_parser_frame *f;
  if (p->depth == p->pop_to) {
    p->state = p->then;
    return LM_STEP_AGAIN;
  }
  f = &p->frames[p->depth - 1];
  if (f->shape == LM_MIME_MULTIPART && !f->closed) {
    f->closed = true;
    lm_parser_defect(p, lm_parser_here(p),
                     f->boundary_n ? "a boundary that is never closed"
                                   : "a multipart without parts");
    return LM_STEP_AGAIN;
  }
  p->boundaries.end = p->boundaries.start + f->boundary;
  lm_parser_event(p, ev, LM_MIME_PART_END, p->content_end);
  p->depth--;
  return LM_STEP_EVENT;
}

static enum lm_parser_step pop_to(struct lm_parser *p, size_t depth, enum lm_parser_state then) {
  p->pop_to = depth;
  p->then = then;
  p->state = PARSER_POP;
  return LM_STEP_AGAIN;
}

/* --- delimiters --------------------------------------------------------------------------------------- */

static bool is_boundary(const struct lm_parser *p, const struct lm_parser_frame *f, struct lm_str s,
                        uint32_t hash) {
  return f->boundary_n == s.n && f->hash == hash &&
         memcmp(p->boundaries.p + p->boundaries.start + f->boundary, s.p, s.n) == 0;
}

bool lm_parser_is_taken(const struct lm_parser *p, struct lm_str boundary) {
  uint32_t hash = hash_of(boundary.p, boundary.n);
  size_t i;
  for (i = p->depth - 1; i-- > 0;) {
    if (!p->frames[i].closed && is_boundary(p, &p->frames[i], boundary, hash)) return true;
  }
  return false;
}

/* delimiter := "--" boundary, close-delimiter := delimiter "--"; `s` is what stands behind "--". */
static bool match(const struct lm_parser *p, struct lm_str s, struct lm_parser_delimiter *d) {
  uint32_t whole = hash_of(s.p, s.n);
  struct lm_str stem = s;
  uint32_t part = 0;
  size_t i;
  bool ends = s.n > 2 && s.p[s.n - 1] == '-' && s.p[s.n - 2] == '-';
  if (ends) {
    stem.n -= 2;
    part = hash_of(stem.p, stem.n);
  }
  for (i = p->depth; i-- > 0;) {
    const struct lm_parser_frame *f = &p->frames[i];
    if (f->boundary_n == 0 || f->closed) continue;
    d->frame = i;
    d->close = false;
    if (is_boundary(p, f, s, whole)) return true;
    d->close = true;
    if (ends && is_boundary(p, f, stem, part)) return true;
  }
  return false;
}

/* A multipart that names no boundary: its first line like one gives it. */
static bool looks_like_boundary(struct lm_str s) {
  size_t i;
  if (s.n > GUESS_MAX || (s.n > 2 && s.p[s.n - 1] == '-' && s.p[s.n - 2] == '-')) return false;
  for (i = 0; i < s.n; i++) {
    if (!lm_is(s.p[i], LM_PRINT)) return false;
  }
  return true;
}

static enum lm_parser_line guess(struct lm_parser *p, struct lm_str s, const char *line,
                                 struct lm_parser_delimiter *d) {
  struct lm_parser_frame *top = &p->frames[p->depth - 1];
  if (!top->guess || !looks_like_boundary(s) || s.p[0] == '-') return LM_LINE_PLAIN;
  if (!lm_parser_set_boundary(p, top, s)) {
    p->broken = true;
    return LM_LINE_PLAIN;
  }
  top->guess = false;
  lm_parser_defect(p, line, "a boundary that the header does not name");
  d->frame = p->depth - 1;
  d->close = false;
  return LM_LINE_DELIMITER;
}

/* Mail that goes on behind a closing delimiter is read in two ways by two programs. */
static bool is_late(const struct lm_parser *p, struct lm_str s) {
  const struct lm_parser_frame *top = &p->frames[p->depth - 1];
  return top->closed && !top->blamed && top->boundary_n == s.n &&
         is_boundary(p, top, s, hash_of(s.p, s.n));
}

/* Where the line at `line` ends, at *stop_out. A line that is longer than any delimiter is none. */
static enum lm_parser_line whole_line(const struct lm_parser *p, const char *line,
                                      const char **stop_out) {
  const char *end = lm_parser_end(p);
  const char *from = lm_parser_here(p) + p->scanned;
  const char *limit = end - line > LM_DELIMITER ? line + LM_DELIMITER : end;
  const char *stop =
      lm_scan_line_end(from > line + 2 ? (from < limit ? from : limit) : line + 2, limit);
  *stop_out = stop;
  if (stop == limit && limit < end) return LM_LINE_PLAIN;
  if (p->final) return LM_LINE_DELIMITER;
  return stop == end || (*stop == '\r' && stop + 1 == end) ? LM_LINE_UNENDED : LM_LINE_DELIMITER;
}

enum lm_parser_line lm_parser_classify(struct lm_parser *p, const char *line,
                                       struct lm_parser_delimiter *d) {
  const char *stop;
  struct lm_str s;
  enum lm_parser_line found = whole_line(p, line, &stop);
  if (found != LM_LINE_DELIMITER) return found;
  d->next = lm_scan_next_line(stop, lm_parser_end(p));
  while (stop > line + 2 && lm_is(stop[-1], LM_SPACE)) stop--;
  s = (struct lm_str){line + 2, (size_t)(stop - line - 2)};
  if (s.n == 0) return LM_LINE_PLAIN;
  if (match(p, s, d)) return LM_LINE_DELIMITER;
  if (is_late(p, s)) return LM_LINE_LATE;
  return guess(p, s, line, d);
}

/* The parts inside end, and the next begins or none follows. */
static enum lm_parser_step cross(struct lm_parser *p, const struct lm_parser_delimiter *d) {
  struct lm_parser_frame *f = &p->frames[d->frame];
  bool close = d->close;
  p->content_end = lm_parser_offset(p, lm_parser_here(p));
  if (!close && p->parts >= p->limits.parts) {
    lm_parser_limit_passed(p, LM_PARSER_MAX_PARTS, lm_parser_here(p));
    close = true;
  }
  f->closed = close;
  lm_parser_consume_to(p, d->next);
  p->line_start = true;
  return pop_to(p, d->frame + 1, close ? PARSER_EPILOGUE : PARSER_OPEN);
}

/* --- content ------------------------------------------------------------------------------------------ */

static const char *before_line_end(const char *from, const char *p) {
  if (p > from && p[-1] == '\n')
    p--;
  else if (p > from && p[-1] == '\r')
    return p - 1;
  else
    return p;
  return p > from && p[-1] == '\r' ? p - 1 : p;
}

/* Where what may yet be the beginning of a delimiter stands at the end of the window. */
static const char *settled_end(const struct lm_parser *p) {
  const char *from = lm_parser_here(p);
  const char *end = lm_parser_end(p);
  const char *cut = end;
  if (p->final) return end;
  if (cut > from && cut[-1] == '-') cut--;
  if (cut == from) return p->line_start ? cut : end;
  if (cut < end && cut[-1] != '\n' && cut[-1] != '\r') return end;
  return before_line_end(from, cut);
}

static enum lm_parser_step content_event(struct lm_parser *p, struct lm_mime_event *ev,
                                         const char *cut) {
  const char *from = lm_parser_here(p);
  enum lm_mime_kind kind = p->state == PARSER_BODY       ? LM_MIME_BODY
                           : p->state == PARSER_PREAMBLE ? LM_MIME_PREAMBLE
                                                         : LM_MIME_EPILOGUE;
  lm_parser_event(p, ev, kind, lm_parser_offset(p, from));
  ev->text = (struct lm_str){from, (size_t)(cut - from)};
  lm_parser_consume_to(p, cut);
  p->line_start = false;
  return LM_STEP_EVENT;
}

/* The first line from `at` on that begins with "--"; the end of the window where there is none. */
static const char *first_hyphens(const struct lm_parser *p) {
  const char *from = lm_parser_here(p);
  const char *end = lm_parser_end(p);
  if (p->line_start && end - from >= 2 && from[0] == '-' && from[1] == '-') return from;
  return lm_scan_hyphens(from, end);
}

/* Content up to the next delimiter, or as far as the window is decided. */
static enum lm_parser_step content(struct lm_parser *p, struct lm_mime_event *ev) {
  const char *from = lm_parser_here(p);
  const char *end = lm_parser_end(p);
  const char *line = p->depth > 1 || p->state != PARSER_BODY ? first_hyphens(p) : end;
  const char *cut;
  struct lm_parser_delimiter d;
  enum lm_parser_line found = LM_LINE_PLAIN;
  while (line < end && (found = lm_parser_classify(p, line, &d)) == LM_LINE_PLAIN)
    line = lm_scan_hyphens(line, end);
  if (p->broken) return LM_STEP_FAIL;
  cut = found == LM_LINE_PLAIN ? settled_end(p) : before_line_end(from, line);
  if (cut > from) return content_event(p, ev, cut);
  if (found == LM_LINE_DELIMITER) return cross(p, &d);
  if (found == LM_LINE_LATE) {
    p->frames[p->depth - 1].blamed = true;
    lm_parser_defect(p, line, "a delimiter behind the closing one");
    return LM_STEP_AGAIN;
  }
  if (p->final) {
    p->content_end = lm_parser_offset(p, end);
    return pop_to(p, 0, PARSER_END);
  }
  lm_parser_looked_at_all(p);
  return LM_STEP_WAIT;
}

/* --- all ---------------------------------------------------------------------------------------------- */

static enum lm_parser_step step(struct lm_parser *p, struct lm_mime_event *ev) {
  if (p->defects_n) {
    lm_parser_event(p, ev, LM_MIME_DEFECT, p->defects[0].offset);
    ev->why = p->defects[0].why;
    memmove(p->defects, p->defects + 1, --p->defects_n * sizeof *p->defects);
    return LM_STEP_EVENT;
  }
  switch (p->state) {
  case PARSER_OPEN: return open_part(p, ev);
  case PARSER_HEADER: return lm_parser_header(p, ev);
  case PARSER_BODY:
  case PARSER_PREAMBLE:
  case PARSER_EPILOGUE: return content(p, ev);
  case PARSER_POP: return pop(p, ev);
  case PARSER_END:
    p->state = PARSER_DONE;
    return lm_parser_event(p, ev, LM_MIME_END, lm_parser_offset(p, lm_parser_end(p)));
  default: return LM_STEP_WAIT;
  }
}

enum lm_status lm_parser_next(struct lm_parser *p, struct lm_mime_event *ev) {
  while (!p->broken) {
    switch (step(p, ev)) {
    case LM_STEP_EVENT: return LM_EVENT;
    case LM_STEP_AGAIN: break;
    case LM_STEP_WAIT:
      if (keep(p)) return LM_WAIT;
      p->broken = true;
      break;
    default: p->broken = true;
    }
  }
  return LM_FAIL;
}
