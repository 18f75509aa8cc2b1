/*
** link.h: a session's wire and the filters between it and the transport (TLS, DEFLATE).
**
** A filter is a wire of its own (the outer side) and a function that moves bytes between that and
** the wire inside it. So a driver always speaks to one wire, the outermost, and a layer change is
** the insertion of a filter.
*/
#ifndef LM_BASE_LINK_H
#define LM_BASE_LINK_H

#include "base/wire.h"

enum { LM_LINK_FILTERS = 2 };

struct lm_filter {
  struct lm_wire outer; /* bytes as the transport sees them */
  bool brief;           /* the driver counts its time: little is made ahead of it */
  /* Moves what it can, both ways. On failure it fails `inner`. */
  void (*turn)(struct lm_filter *f, struct lm_wire *inner);
  void (*relax)(struct lm_filter *f); /* gives back idle memory; may be NULL */
  void (*free)(struct lm_filter *f);
};

struct lm_link {
  struct lm_wire *wire;                      /* the session's, innermost */
  struct lm_filter *filter[LM_LINK_FILTERS]; /* outermost first; NULL-filled */
};

/* The wire that a driver reads into and sends from. */
struct lm_wire *lm_link_outer(struct lm_link *l);

/* Moves bytes through all filters, both ways; true when input reached the session's wire, or it
** ended or failed. */
bool lm_link_turn(struct lm_link *l);

/* Tells all filters whether the driver counts its time. */
void lm_link_brief(struct lm_link *l, bool brief);

/* Puts a filter next to the session's wire, inside the others. The input buffered in plaintext must
** be empty (response injection, RFC 3207 §6); if not, the wire fails and the filter is freed. False
** where that happened or there is no place. */
bool lm_link_insert(struct lm_link *l, struct lm_filter *f);

/* The same for a filter whose layer began with the octet behind the peer's last word (COMPRESS): the
** input buffered already is the filter's. Output that was not handed on in plaintext would be lost:
** then the wire fails. */
bool lm_link_continue(struct lm_link *l, struct lm_filter *f);

/* Puts bytes in front of everything that leaves, whatever the layers (a PROXY header). False where
** something has left already, or memory is short. */
bool lm_link_preface(struct lm_link *l, struct lm_str s);

/* Gives back empty buffers of all layers. */
void lm_link_relax(struct lm_link *l);

/* Frees the filters; the wire belongs to its session. */
void lm_link_free(struct lm_link *l);

#endif
