/*
** fetch.h: one FETCH answer: the items of one message (RFC 9051 §7.5.2).
**
** Items are found by name in the records of ext.h; what no record knows arrives as a value tree.
** An item that its own rule cannot read arrives raw, in `raw`, and is one of `defects`: one odd
** item never loses the others. An answer may come in pieces: where a body's literal is handed out by
** the session, parsing stops at its announcement and goes on behind it.
*/
#ifndef LM_IMAP_FETCH_H
#define LM_IMAP_FETCH_H

#include "imap/bodystructure.h"

enum lm_imap_has {
  LM_IMAP_HAS_UID = 1 << 0,
  LM_IMAP_HAS_FLAGS = 1 << 1,
  LM_IMAP_HAS_DATE = 1 << 2,
  LM_IMAP_HAS_SIZE = 1 << 3,
  LM_IMAP_HAS_MODSEQ = 1 << 4
};

/* One BODY[section]<origin>, BINARY[section]<origin> or RFC822*. */
struct lm_imap_section {
  struct lm_imap_section *next;
  struct lm_str name; /* "", "1.2", "HEADER", "HEADER.FIELDS (FROM TO)": words in upper case */
  struct lm_str data; /* p is NULL for NIL, and where it is streamed */
  uint64_t size;      /* of the data */
  uint32_t origin;
  bool partial;  /* an origin was given */
  bool binary;   /* BINARY[...]: transfer encoding undone by the server */
  bool streamed; /* the octets were, or are about to be, handed out in pieces */
};

/* What the server should have said otherwise. */
struct lm_imap_defect {
  struct lm_imap_defect *next;
  struct lm_str item;   /* its name in upper case; empty: between the items, or behind them */
  const char *expected; /* what should have stood there */
};

struct lm_imap_fetch {
  uint32_t seq; /* 0: the answer named it by UID only (UIDFETCH) */
  uint32_t uid;
  uint32_t wrapped; /* parentheses open around items that should have none */
  unsigned has;     /* LM_IMAP_HAS_* */
  int64_t date;     /* INTERNALDATE, seconds since 1970 */
  uint64_t size;
  uint64_t modseq;
  struct lm_imap_value flags;
  struct lm_imap_envelope *envelope;
  struct lm_imap_part *bodystructure;
  struct lm_imap_section *sections, *last_section;
  struct lm_imap_value other; /* list with keys: lower-case names of other items */
  struct lm_imap_value raw;   /* the same, of items that could not be read */
  struct lm_imap_defect *defects, *last_defect;
};

enum lm_fetch_got {
  LM_FETCH_WHOLE, /* the closing parenthesis and the line end were read */
  LM_FETCH_CUT,   /* the text ends in the announcement of fetch->last_section's octets */
  LM_FETCH_BAD    /* the cursor says why */
};

/* Clears it. */
void lm_imap_fetch_init(struct lm_imap_fetch *f, uint32_t seq);

/* "(" items ")" from their parenthesis on. */
enum lm_fetch_got lm_imap_fetch(struct lm_cursor *c, struct lm_imap_fetch *f);

/* Goes on behind the octets that were cut out. */
enum lm_fetch_got lm_imap_fetch_resume(struct lm_cursor *c, struct lm_imap_fetch *f);

/* Notes a defect. `expected` must outlive the answer. False when memory is short. */
bool lm_imap_fetch_defect(struct lm_arena *arena, struct lm_imap_fetch *f, struct lm_str item,
                          const char *expected);

/* --- for the records of items ------------------------------------------------------------------- */

/* A new field of `f->other` under `key`, which must outlive the answer; NULL: no memory. */
struct lm_imap_value *lm_imap_fetch_other(struct lm_cursor *c, struct lm_imap_fetch *f,
                                          struct lm_str key);

/* "[" section "]" behind the name of an item, the words in upper case. */
bool lm_imap_fetch_section_name(struct lm_cursor *c, struct lm_str *out);

/* The value of an item whose name was taken. Called with the cursor at the space, or at "[". */
bool lm_imap_fetch_section(struct lm_cursor *c, struct lm_imap_fetch *f, bool binary);
bool lm_imap_fetch_rfc822(struct lm_cursor *c, struct lm_imap_fetch *f, struct lm_str name);

#endif
