/*
** parser_state.h: what the files of the parser share; no business of anybody else.
**
** parser.c keeps the stack of open parts, finds the delimiters and hands out content; parser_header.c
** reads the header of a part and decides what the part is.
*/
#ifndef LM_MIME_PARSER_STATE_H
#define LM_MIME_PARSER_STATE_H

#include <string.h>

#include "base/arena.h"
#include "mime/parser.h"

enum lm_parser_state {
  PARSER_OPEN,
  PARSER_HEADER,
  PARSER_BODY,
  PARSER_PREAMBLE,
  PARSER_EPILOGUE,
  PARSER_POP,
  PARSER_END,
  PARSER_DONE
};

/* What came of one step: an event, another step, need of input, short memory. */
enum lm_parser_step { LM_STEP_EVENT, LM_STEP_AGAIN, LM_STEP_WAIT, LM_STEP_FAIL };

/* What a line that begins with "--" is. */
enum lm_parser_line {
  LM_LINE_PLAIN,
  LM_LINE_DELIMITER,
  LM_LINE_UNENDED, /* the line does not end in the window */
  LM_LINE_LATE     /* a delimiter of a multipart that was closed: none, but told once */
};

enum lm_parser_limit {
  LM_PARSER_MAX_DEPTH,
  LM_PARSER_MAX_PARTS,
  LM_PARSER_MAX_HEADER,
  LM_PARSER_MAX_HEADERS,
  LM_PARSER_MAX_LINE
};

enum { LM_PARSER_DEFECTS_HELD = 8 };

/* A part that is open. */
struct lm_parser_frame {
  enum lm_mime_shape shape;
  bool closed;       /* its closing delimiter was seen */
  bool blamed;       /* a delimiter behind the closing one was told */
  bool digest;       /* its parts are messages where they do not say */
  bool guess;        /* the first line that looks like a delimiter is one */
  size_t boundary;   /* where it lies in `boundaries` */
  size_t boundary_n; /* 0: it has none */
  uint32_t hash;
};

/* What the header that is being read says of its part. */
struct lm_parser_reading {
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
  bool next_line;       /* PARSER_HEADER: `scanned` is in the line behind the field */
  bool plain_line;      /* PARSER_HEADER: the line at `at` is no delimiter */
  bool broken;          /* memory was short: the window may be gone, nothing more is read */
  bool final;
  bool line_start; /* `at` is the start of a line whose line end was told */
  enum lm_parser_state state;
  enum lm_parser_state then; /* behind PARSER_POP */
  size_t pop_to;
  uint64_t content_end;
  struct lm_parser_frame *frames;
  size_t depth;
  size_t room;
  struct lm_buf boundaries;
  struct lm_arena arena;
  struct lm_parser_reading r;
  size_t parts;
  uint64_t headers; /* octets of all headers */
  unsigned told;    /* limits that were told, a bit each */
  struct {
    const char *why;
    uint64_t offset;
  } defects[LM_PARSER_DEFECTS_HELD];
  size_t defects_n;
};

/* A delimiter line, and whose it is. */
struct lm_parser_delimiter {
  size_t frame;
  bool close;
  const char *next; /* behind its line end */
};

/* --- parser.c --------------------------------------------------------------------------------- */

/* Tells what breaks the rules at `at`. The words are static. What is told beyond LM_PARSER_DEFECTS_HELD at once is dropped. */
void lm_parser_defect(struct lm_parser *p, const char *at, const char *why);

/* Tells that a limit was passed at `at`; each limit is told once. */
void lm_parser_limit_passed(struct lm_parser *p, enum lm_parser_limit which, const char *at);

/* Gives the multipart its boundary. False when memory is short. */
bool lm_parser_set_boundary(struct lm_parser *p, struct lm_parser_frame *f, struct lm_str boundary);

/* True where a multipart around this one has the same boundary: programs differ in whose it is. */
bool lm_parser_is_taken(const struct lm_parser *p, struct lm_str boundary);

/* What the line at `line`, which begins with "--", is; a delimiter is filled in at `d`. */
enum lm_parser_line lm_parser_classify(struct lm_parser *p, const char *line,
                                       struct lm_parser_delimiter *d);

/* --- parser_header.c -------------------------------------------------------------------------- */

/* The next field of the header, or its end. LM_STEP_FAIL when memory is short. */
enum lm_parser_step lm_parser_header(struct lm_parser *p, struct lm_mime_event *ev);

/* --- the window ------------------------------------------------------------------------------- */

/* Where the parser stands: all before was told. */
static inline const char *lm_parser_here(const struct lm_parser *p) {
  return p->window.p + p->at;
}

static inline const char *lm_parser_end(const struct lm_parser *p) {
  return p->window.p + p->window.n;
}

/* Offset in the message of what stands at `at` in the window. */
static inline uint64_t lm_parser_offset(const struct lm_parser *p, const char *at) {
  return p->base + (uint64_t)(at - p->window.p);
}

/* All before `at` was told. */
static inline void lm_parser_consume_to(struct lm_parser *p, const char *at) {
  p->at = (size_t)(at - p->window.p);
  p->scanned = 0;
  p->next_line = false;
  p->plain_line = false;
}

/* All of the window was looked at; a CR at its end may be the half of a line end. */
static inline void lm_parser_looked_at_all(struct lm_parser *p) {
  const char *end = lm_parser_end(p);
  p->scanned = p->window.n - p->at;
  if (p->scanned > 0 && end[-1] == '\r') p->scanned--;
}

/* Fills an event in but for what only its kind has. */
static inline enum lm_parser_step lm_parser_event(struct lm_parser *p, struct lm_mime_event *ev,
                                                  enum lm_mime_kind kind, uint64_t at) {
  memset(ev, 0, sizeof *ev);
  ev->kind = kind;
  ev->offset = at;
  ev->depth = p->depth;
  return LM_STEP_EVENT;
}

#endif
