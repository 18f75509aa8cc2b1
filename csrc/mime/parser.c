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

#include "base/arena.h"
#include "base/chars.h"
#include "mime/params.h"
#include "mime/scan.h"

struct frame {
  enum lm_mime_shape shape;
  bool closed;       /* its closing delimiter was seen */
  bool blamed;       /* a delimiter behind the closing one was told */
  bool digest;       /* its parts are messages where they do not say */
  bool guess;        /* the first line that looks like a delimiter is one */
  size_t boundary;   /* where it lies in `boundaries` */
  size_t boundary_n; /* 0: it has none */
  uint32_t hash;
};

enum state { OPEN, HEADER, BODY, PREAMBLE, EPILOGUE, POP, END, DONE };

enum step { STEP_EVENT, STEP_AGAIN, STEP_WAIT, STEP_FAIL };

enum { DEFECTS_HELD = 8, GUESS_MAX = 70, ARENA_KEPT = 65536 };

/* What the header that is being read says of its part. */
struct reading {
  size_t size;
  bool begun; /* an mbox line is not looked for any more */
  bool has_type;
  bool has_transfer;
  bool digest;
  enum lm_mime_shape shape;
  enum lm_transfer transfer;
  struct lm_str boundary; /* in the arena */
};

struct lm_parser {
  struct lm_mime_limits limits;
  struct lm_buf held;   /* input that could not be decided on */
  struct lm_str window; /* what there is: `held`, or the caller's piece */
  bool lent;            /* ... it is the caller's, and `held` is empty */
  uint64_t base;        /* offset of the window in the message */
  size_t at;            /* in the window: all before was told */
  size_t scanned;       /* octets from `at` on in which no end of a line is */
  bool next_line;       /* HEADER: `scanned` is in the line behind the field */
  bool plain_line;      /* HEADER: the line at `at` is no delimiter */
  bool broken;          /* memory was short: the window may be gone, nothing more is read */
  bool final;
  bool line_start; /* `at` is the start of a line whose line end was told */
  enum state state;
  enum state then; /* behind POP */
  size_t pop_to;
  uint64_t content_end;
  struct frame *frames;
  size_t depth;
  size_t room;
  struct lm_buf boundaries;
  struct lm_arena arena;
  struct reading r;
  size_t parts;
  uint64_t headers; /* octets of all headers */
  unsigned told;    /* limits that were told, a bit each */
  struct {
    const char *why;
    uint64_t offset;
  } defects[DEFECTS_HELD];
  size_t defects_n;
};

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
  p->state = OPEN;
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

/* --- small things ----------------------------------------------------------------------------------- */

static const char *here(const struct lm_parser *p) {
  return p->window.p + p->at;
}

static const char *window_end(const struct lm_parser *p) {
  return p->window.p + p->window.n;
}

static uint64_t offset(const struct lm_parser *p, const char *at) {
  return p->base + (uint64_t)(at - p->window.p);
}

static void consume_to(struct lm_parser *p, const char *at) {
  p->at = (size_t)(at - p->window.p);
  p->scanned = 0;
  p->next_line = false;
  p->plain_line = false;
}

/* All of the window was looked at; a CR at its end may be the half of a line end. */
static void looked_at_all(struct lm_parser *p) {
  const char *end = window_end(p);
  p->scanned = p->window.n - p->at;
  if (p->scanned > 0 && end[-1] == '\r') p->scanned--;
}

static void defect(struct lm_parser *p, const char *at, const char *why) {
  if (p->defects_n == DEFECTS_HELD) return;
  p->defects[p->defects_n].why = why;
  p->defects[p->defects_n++].offset = offset(p, at);
}

enum limit { LIMIT_DEPTH, LIMIT_PARTS, LIMIT_HEADER, LIMIT_HEADERS, LIMIT_LINE };

/* Each limit is told once. */
static void limit_passed(struct lm_parser *p, enum limit which, const char *at) {
  static const char *const words[] = {"limit passed: depth", "limit passed: parts",
                                      "limit passed: header", "limit passed: headers",
                                      "limit passed: line"};
  if (!(p->told & 1u << which)) defect(p, at, words[which]);
  p->told |= 1u << which;
}

static enum step event(struct lm_parser *p, struct lm_mime_event *ev, enum lm_mime_kind kind,
                       uint64_t at) {
  memset(ev, 0, sizeof *ev);
  ev->kind = kind;
  ev->offset = at;
  ev->depth = p->depth;
  return STEP_EVENT;
}

static uint32_t hash_of(const char *p, size_t n) {
  uint32_t h = 2166136261u;
  while (n--) h = (h ^ (unsigned char)*p++) * 16777619u;
  return h;
}

/* --- the stack -------------------------------------------------------------------------------------- */

static bool grow(struct lm_parser *p) {
  size_t room = p->room ? p->room * 2 : 8;
  struct frame *frames;
  if (p->depth < p->room) return true;
  if ((frames = realloc(p->frames, room * sizeof *frames)) == NULL) return false;
  p->frames = frames;
  p->room = room;
  return true;
}

/* A part begins. */
static enum step open_part(struct lm_parser *p, struct lm_mime_event *ev) {
  bool digest = p->depth > 0 && p->frames[p->depth - 1].digest;
  if (!grow(p)) return STEP_FAIL;
  memset(&p->frames[p->depth], 0, sizeof *p->frames);
  p->frames[p->depth++].boundary = lm_buf_len(&p->boundaries);
  p->parts++;
  p->r = (struct reading){0};
  p->r.shape = digest ? LM_MIME_MESSAGE : LM_MIME_LEAF;
  lm_arena_reset(&p->arena);
  p->state = HEADER;
  return event(p, ev, LM_MIME_PART, offset(p, here(p)));
}

static bool set_boundary(struct lm_parser *p, struct frame *f, struct lm_str boundary) {
  f->boundary_n = boundary.n;
  f->hash = hash_of(boundary.p, boundary.n);
  p->boundaries.end = p->boundaries.start + f->boundary;
  return lm_buf_put(&p->boundaries, boundary.p, boundary.n);
}

/* The parts above `pop_to` end, one a step. */
static enum step pop(struct lm_parser *p, struct lm_mime_event *ev) {
  struct frame *f;
  if (p->depth == p->pop_to) {
    p->state = p->then;
    return STEP_AGAIN;
  }
  f = &p->frames[p->depth - 1];
  if (f->shape == LM_MIME_MULTIPART && !f->closed) {
    f->closed = true;
    defect(p, here(p),
           f->boundary_n ? "a boundary that is never closed" : "a multipart without parts");
    return STEP_AGAIN;
  }
  p->boundaries.end = p->boundaries.start + f->boundary;
  event(p, ev, LM_MIME_PART_END, p->content_end);
  p->depth--;
  return STEP_EVENT;
}

static enum step pop_to(struct lm_parser *p, size_t depth, enum state then) {
  p->pop_to = depth;
  p->then = then;
  p->state = POP;
  return STEP_AGAIN;
}

/* --- delimiters --------------------------------------------------------------------------------------- */

enum found {
  NONE,
  FOUND,
  MORE, /* the line does not end in the window */
  LATE  /* a delimiter of a multipart that was closed: none, but told once */
};

struct delimiter {
  size_t frame;
  bool close;
  const char *next; /* behind its line end */
};

static bool is_boundary(const struct lm_parser *p, const struct frame *f, struct lm_str s,
                        uint32_t hash) {
  return f->boundary_n == s.n && f->hash == hash &&
         memcmp(p->boundaries.p + p->boundaries.start + f->boundary, s.p, s.n) == 0;
}

/* delimiter := "--" boundary, close-delimiter := delimiter "--"; `s` is what stands behind "--". */
static bool match(const struct lm_parser *p, struct lm_str s, struct delimiter *d) {
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
    const struct frame *f = &p->frames[i];
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

static enum found guess(struct lm_parser *p, struct lm_str s, const char *line,
                        struct delimiter *d) {
  struct frame *top = &p->frames[p->depth - 1];
  if (!top->guess || !looks_like_boundary(s) || s.p[0] == '-') return NONE;
  if (!set_boundary(p, top, s)) {
    p->broken = true;
    return NONE;
  }
  top->guess = false;
  defect(p, line, "a boundary that the header does not name");
  d->frame = p->depth - 1;
  d->close = false;
  return FOUND;
}

/* Mail that goes on behind a closing delimiter is read in two ways by two programs. */
static bool is_late(const struct lm_parser *p, struct lm_str s) {
  const struct frame *top = &p->frames[p->depth - 1];
  return top->closed && !top->blamed && top->boundary_n == s.n &&
         is_boundary(p, top, s, hash_of(s.p, s.n));
}

/* Where the line at `line` ends, at *stop_out. A line that is longer than any delimiter is none. */
static enum found whole_line(const struct lm_parser *p, const char *line, const char **stop_out) {
  const char *end = window_end(p);
  const char *from = here(p) + p->scanned;
  const char *limit = end - line > LM_DELIMITER ? line + LM_DELIMITER : end;
  const char *stop =
      lm_scan_line_end(from > line + 2 ? (from < limit ? from : limit) : line + 2, limit);
  *stop_out = stop;
  if (stop == limit && limit < end) return NONE;
  if (p->final) return FOUND;
  return stop == end || (*stop == '\r' && stop + 1 == end) ? MORE : FOUND;
}

/* What the line at `line`, which begins with "--", is. */
static enum found delimiter(struct lm_parser *p, const char *line, struct delimiter *d) {
  const char *stop;
  struct lm_str s;
  enum found found = whole_line(p, line, &stop);
  if (found != FOUND) return found;
  d->next = lm_scan_next_line(stop, window_end(p));
  while (stop > line + 2 && lm_is(stop[-1], LM_SPACE)) stop--;
  s = (struct lm_str){line + 2, (size_t)(stop - line - 2)};
  if (s.n == 0) return NONE;
  if (match(p, s, d)) return FOUND;
  if (is_late(p, s)) return LATE;
  return guess(p, s, line, d);
}

/* The parts inside end, and the next begins or none follows. */
static enum step cross(struct lm_parser *p, const struct delimiter *d) {
  struct frame *f = &p->frames[d->frame];
  bool close = d->close;
  p->content_end = offset(p, here(p));
  if (!close && p->parts >= p->limits.parts) {
    limit_passed(p, LIMIT_PARTS, here(p));
    close = true;
  }
  f->closed = close;
  consume_to(p, d->next);
  p->line_start = true;
  return pop_to(p, d->frame + 1, close ? EPILOGUE : OPEN);
}

/* --- headers ------------------------------------------------------------------------------------------ */

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
  const char *begin = here(p);
  const char *end = window_end(p);
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
    defect(p, value.p, "a second Content-Type");
    return true;
  }
  p->r.has_type = true;
  p->r.shape = LM_MIME_LEAF;
  if (!lm_media_read(value, &m)) defect(p, value.p, "no media type");
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
    defect(p, value.p, "a second Content-Transfer-Encoding");
    return;
  }
  p->r.has_transfer = true;
  while (from < end && !lm_is(*from, LM_MIME_TOKEN)) from++;
  for (stop = from; stop < end && lm_is(*stop, LM_MIME_TOKEN);) stop++;
  if (!lm_transfer_find((struct lm_str){from, (size_t)(stop - from)}, &p->r.transfer)) {
    defect(p, value.p, "an unknown Content-Transfer-Encoding");
  }
}

static bool note_field(struct lm_parser *p, const struct lm_header_field *f) {
  if (f->name.n == 12 && LM_IS(f->name, "Content-Type")) return read_type(p, f->value);
  if (f->name.n == 25 && LM_IS(f->name, "Content-Transfer-Encoding")) read_transfer(p, f->value);
  return true;
}

/* True where a multipart around this one has the same boundary: programs differ in whose it is. */
static bool is_taken(const struct lm_parser *p, struct lm_str boundary) {
  uint32_t hash = hash_of(boundary.p, boundary.n);
  size_t i;
  for (i = p->depth - 1; i-- > 0;) {
    if (!p->frames[i].closed && is_boundary(p, &p->frames[i], boundary, hash)) return true;
  }
  return false;
}

/* A boundary ends in no white space (RFC 2046 §5.1.1), and in a delimiter none can be told. */
static bool take_boundary(struct lm_parser *p, struct frame *f) {
  struct lm_str b = p->r.boundary;
  while (b.n && lm_is(b.p[b.n - 1], LM_SPACE)) b.n--;
  f->digest = p->r.digest;
  f->guess = b.n == 0 || b.n > LM_BOUNDARY;
  if (f->guess) return true;
  if (is_taken(p, b)) defect(p, here(p), "a boundary that a part around has, too");
  return set_boundary(p, f, b);
}

/* A message or multipart inside is opened where the limits allow, and where it can be read as it
** stands. */
static enum lm_mime_shape shape_of(struct lm_parser *p) {
  enum lm_mime_shape shape = p->r.shape;
  if (shape == LM_MIME_LEAF) return shape;
  if (p->r.transfer != LM_TRANSFER_IDENTITY) {
    defect(p, here(p), "an encoded multipart or message");
    if (shape == LM_MIME_MESSAGE) return LM_MIME_LEAF;
  }
  if (p->depth >= p->limits.depth) {
    limit_passed(p, LIMIT_DEPTH, here(p));
    return LM_MIME_LEAF;
  }
  if (shape == LM_MIME_MESSAGE && p->parts >= p->limits.parts) {
    limit_passed(p, LIMIT_PARTS, here(p));
    return LM_MIME_LEAF;
  }
  return shape;
}

/* The header has ended, and `at` is where the body begins. */
static enum step end_header(struct lm_parser *p, struct lm_mime_event *ev) {
  struct frame *f = &p->frames[p->depth - 1];
  f->shape = shape_of(p);
  if (f->shape == LM_MIME_MULTIPART && !take_boundary(p, f)) return STEP_FAIL;
  event(p, ev, LM_MIME_CONTENT, offset(p, here(p)));
  ev->shape = f->shape;
  ev->transfer = p->r.transfer;
  ev->digest = p->depth > 1 && p->frames[p->depth - 2].digest;
  consume_to(p, here(p)); /* how far the header was looked through says nothing of the body */
  p->line_start = true;
  p->state = f->shape == LM_MIME_LEAF ? BODY : f->shape == LM_MIME_MULTIPART ? PREAMBLE : OPEN;
  return STEP_EVENT;
}

/* True where the field of that size fits; it is then counted. */
static bool header_fits(struct lm_parser *p, size_t size) {
  if (size > p->limits.line && p->limits.line < p->limits.header) {
    limit_passed(p, LIMIT_LINE, here(p));
    return false;
  }
  if (size > p->limits.header - p->r.size) {
    limit_passed(p, LIMIT_HEADER, here(p));
    return false;
  }
  if (size > p->limits.headers - p->headers) {
    limit_passed(p, LIMIT_HEADERS, here(p));
    return false;
  }
  p->r.size += size;
  p->headers += size;
  return true;
}

/* The next field of those that the window holds. */
static enum step next_field(struct lm_parser *p, struct lm_mime_event *ev) {
  struct lm_str text = {here(p), header_window(p)};
  struct lm_header_walk w = {text, 0, 0, p->r.begun};
  struct lm_header_field field;
  const char *begin = here(p);
  p->r.begun = true;
  if (lm_header_mbox(&w)) {
    if (!header_fits(p, w.at)) return end_header(p, ev);
    defect(p, begin, "an mbox line before the header");
    consume_to(p, begin + w.at);
    return STEP_AGAIN;
  }
  if (!lm_header_next(&w, &field)) {
    if (w.defects) defect(p, begin, "no empty line behind the header");
    consume_to(p, begin + w.at);
    return end_header(p, ev);
  }
  if (field.name.n == 0 && p->r.size == 0 && p->depth > 1) { /* a part that is all text */
    defect(p, begin, "no empty line behind the header");
    return end_header(p, ev);
  }
  if (!header_fits(p, field.end)) return end_header(p, ev);
  if (w.defects) defect(p, begin, "a line in the header that is no field");
  if (!note_field(p, &field)) return STEP_FAIL;
  event(p, ev, LM_MIME_FIELD, offset(p, begin));
  ev->field = field;
  consume_to(p, begin + field.end);
  ev->end = offset(p, here(p));
  return STEP_EVENT;
}

/* A delimiter ends a header that has no empty line. */
static enum found header_delimiter(struct lm_parser *p) {
  const char *begin = here(p);
  struct delimiter d;
  enum found found;
  if (*begin != '-' || p->depth == 1 || p->plain_line) return NONE;
  if (window_end(p) - begin < 2)
    found = p->final ? NONE : MORE;
  else
    found = begin[1] == '-' ? delimiter(p, begin, &d) : NONE;
  p->plain_line = found == NONE || found == LATE;
  return found;
}

static enum step header(struct lm_parser *p, struct lm_mime_event *ev) {
  if (p->at == p->window.n) return p->final ? end_header(p, ev) : STEP_WAIT;
  switch (header_delimiter(p)) {
  case FOUND: defect(p, here(p), "no empty line behind the header"); return end_header(p, ev);
  case MORE: looked_at_all(p); return STEP_WAIT;
  default: return field_is_whole(p) ? next_field(p, ev) : STEP_WAIT;
  }
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
  const char *from = here(p);
  const char *end = window_end(p);
  const char *cut = end;
  if (p->final) return end;
  if (cut > from && cut[-1] == '-') cut--;
  if (cut == from) return p->line_start ? cut : end;
  if (cut < end && cut[-1] != '\n' && cut[-1] != '\r') return end;
  return before_line_end(from, cut);
}

static enum step content_event(struct lm_parser *p, struct lm_mime_event *ev, const char *cut) {
  const char *from = here(p);
  enum lm_mime_kind kind = p->state == BODY       ? LM_MIME_BODY
                           : p->state == PREAMBLE ? LM_MIME_PREAMBLE
                                                  : LM_MIME_EPILOGUE;
  event(p, ev, kind, offset(p, from));
  ev->text = (struct lm_str){from, (size_t)(cut - from)};
  consume_to(p, cut);
  p->line_start = false;
  return STEP_EVENT;
}

/* The first line from `at` on that begins with "--"; the end of the window where there is none. */
static const char *first_hyphens(const struct lm_parser *p) {
  const char *from = here(p);
  const char *end = window_end(p);
  if (p->line_start && end - from >= 2 && from[0] == '-' && from[1] == '-') return from;
  return lm_scan_hyphens(from, end);
}

/* Content up to the next delimiter, or as far as the window is decided. */
static enum step content(struct lm_parser *p, struct lm_mime_event *ev) {
  const char *from = here(p);
  const char *end = window_end(p);
  const char *line = p->depth > 1 || p->state != BODY ? first_hyphens(p) : end;
  const char *cut;
  struct delimiter d;
  enum found found = NONE;
  while (line < end && (found = delimiter(p, line, &d)) == NONE) line = lm_scan_hyphens(line, end);
  if (p->broken) return STEP_FAIL;
  cut = found == NONE ? settled_end(p) : before_line_end(from, line);
  if (cut > from) return content_event(p, ev, cut);
  if (found == FOUND) return cross(p, &d);
  if (found == LATE) {
    p->frames[p->depth - 1].blamed = true;
    defect(p, line, "a delimiter behind the closing one");
    return STEP_AGAIN;
  }
  if (p->final) {
    p->content_end = offset(p, end);
    return pop_to(p, 0, END);
  }
  looked_at_all(p);
  return STEP_WAIT;
}

/* --- all ---------------------------------------------------------------------------------------------- */

static enum step step(struct lm_parser *p, struct lm_mime_event *ev) {
  if (p->defects_n) {
    event(p, ev, LM_MIME_DEFECT, p->defects[0].offset);
    ev->why = p->defects[0].why;
    memmove(p->defects, p->defects + 1, --p->defects_n * sizeof *p->defects);
    return STEP_EVENT;
  }
  switch (p->state) {
  case OPEN: return open_part(p, ev);
  case HEADER: return header(p, ev);
  case BODY:
  case PREAMBLE:
  case EPILOGUE: return content(p, ev);
  case POP: return pop(p, ev);
  case END: p->state = DONE; return event(p, ev, LM_MIME_END, offset(p, window_end(p)));
  default: return STEP_WAIT;
  }
}

enum lm_status lm_parser_next(struct lm_parser *p, struct lm_mime_event *ev) {
  while (!p->broken) {
    switch (step(p, ev)) {
    case STEP_EVENT: return LM_EVENT;
    case STEP_AGAIN: break;
    case STEP_WAIT:
      if (keep(p)) return LM_WAIT;
      p->broken = true;
      break;
    default: p->broken = true;
    }
  }
  return LM_FAIL;
}
