/*
** bodystructure.h: BODY and BODYSTRUCTURE of a FETCH answer (RFC 9051 §7.5.2, §9 "body").
**
** The tree of a message's parts, each with the section by which it is fetched. Servers get this
** item wrong in more ways than any other, so it is read as a value tree and then made sense of:
** a field that is missing or of the wrong kind is simply absent, and nothing after it is lost.
*/
#ifndef LM_IMAP_BODYSTRUCTURE_H
#define LM_IMAP_BODYSTRUCTURE_H

#include "imap/envelope.h"
#include "imap/value.h"

struct lm_imap_part {
  struct lm_imap_part *parent, *child, *next;
  struct lm_imap_part *todo;       /* private to bodystructure.c */
  const struct lm_imap_value *raw; /* what it was made from */
  struct lm_str type;              /* lower case, "multipart/mixed" */
  struct lm_str section;           /* "1.2"; "TEXT" for a multipart that is a whole message */
  const struct lm_imap_value *parameters; /* a flat list name, value, name, value; or NULL */
  struct lm_str id;
  struct lm_str description;
  struct lm_str encoding; /* lower case, as are disposition and names of parameters */
  struct lm_str md5;
  struct lm_str disposition;
  const struct lm_imap_value *disposition_parameters;
  const struct lm_imap_value *language; /* a string or a list of them, or NULL */
  struct lm_str location;
  struct lm_imap_envelope *envelope; /* message/rfc822; `child` is then the message in it */
  uint64_t size;
  uint64_t lines;
  uint32_t children;
  bool multipart;
  bool has_size;
  bool has_lines;
};

/* Parses a body, parentheses included, into *out (in the arena). */
bool lm_imap_bodystructure(struct lm_cursor *c, struct lm_imap_part **out);

#endif
