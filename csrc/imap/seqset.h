/*
** seqset.h: sets of message numbers and UIDs, "1:3,7,10:*" (RFC 9051 §9 sequence-set).
**
** Read strictly, written canonically: ranges in order, overlapping and touching ones joined. A
** range that touches "*" is kept as it is, because what "*" stands for is the server's to know.
** Ranges are never expanded: "1:4294967295" costs one entry.
*/
#ifndef LM_IMAP_SEQSET_H
#define LM_IMAP_SEQSET_H

#include "base/buf.h"

enum { LM_SEQ_STAR = 0 }; /* "*" in lo or hi: zero is no number of a message */

struct lm_range {
  uint32_t lo;
  uint32_t hi;
};

struct lm_seqset {
  struct lm_range *p;
  size_t n;
  size_t cap;
};

enum lm_seqset_got { LM_SEQSET_OK, LM_SEQSET_BAD, LM_SEQSET_MEMORY };

/* Adds one range; either end may be LM_SEQ_STAR. False when memory is short. */
bool lm_seqset_add(struct lm_seqset *set, uint32_t lo, uint32_t hi);

/* Adds all ranges of the text; LM_SEQSET_BAD leaves what came before the fault. */
enum lm_seqset_got lm_seqset_parse(struct lm_seqset *set, struct lm_str text);

/* Brings the ranges into order and joins them. */
void lm_seqset_sort(struct lm_seqset *set);

/* --- sets as sets: all of these want sorted sets without "*" --------------------------------------- */

/* True where "*" is in it: what that stands for is the server's to know. */
bool lm_seqset_is_open(const struct lm_seqset *set);

/* How many numbers. */
uint64_t lm_seqset_count(const struct lm_seqset *set);

/* The index of the first range that ends at `n` or behind it; set->n where there is none. */
size_t lm_seqset_find(const struct lm_seqset *set, uint32_t n);

bool lm_seqset_has(const struct lm_seqset *set, uint32_t n);

/* What is in either, in both, or in `a` alone, into *out, which must be empty. Each takes one walk
** along both. False when memory is short. */
bool lm_seqset_union(const struct lm_seqset *a, const struct lm_seqset *b, struct lm_seqset *out);
bool lm_seqset_intersection(const struct lm_seqset *a, const struct lm_seqset *b,
                            struct lm_seqset *out);
bool lm_seqset_difference(const struct lm_seqset *a, const struct lm_seqset *b,
                          struct lm_seqset *out);

/* Appends the text of the set; an empty set is no text. False when memory is short. */
bool lm_seqset_format(const struct lm_seqset *set, struct lm_buf *out);

/* Gives the memory back. */
void lm_seqset_free(struct lm_seqset *set);

/* True where the text is a set, without building one. */
bool lm_seqset_valid(struct lm_str text);

/* Walks through a text: takes one range from the front; false at the end, or where *bad_out. */
bool lm_seqset_next(struct lm_str *text, struct lm_range *out, bool *bad_out);

#endif
