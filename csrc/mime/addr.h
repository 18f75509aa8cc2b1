/*
** addr.h: addresses of mail: lists in header fields, one mailbox of an envelope, and their text.
**
** Two readers on purpose. The one of lists takes all of RFC 5322 §3.4 and §4.4, RFC 6532, and what
** mailers send besides, and counts what it had to guess. The one of envelopes takes one mailbox as
** RFC 5321 §4.1.2 and RFC 6531 §3.3 write it, and nothing else: no address reaches a server that
** two programs could read in two ways.
** Encoded words are decoded in names, never in an address.
*/
#ifndef LM_MIME_ADDR_H
#define LM_MIME_ADDR_H

#include "base/arena.h"

enum lm_addr_kind {
  LM_ADDR_MAILBOX,
  LM_ADDR_GROUP,    /* a group begins; `name` is its name */
  LM_ADDR_GROUP_END /* the group ends; nothing else is set */
};

struct lm_addr {
  enum lm_addr_kind kind;
  bool member;        /* a mailbox inside a group */
  bool utf8;          /* the envelope needs SMTPUTF8; set by lm_addr_envelope only */
  struct lm_str name; /* UTF-8; n is 0 where there is none */
  struct lm_str
      local; /* what it means: without quotes and backslashes; p is NULL without address */
  struct lm_str domain; /* a literal keeps its brackets; p is NULL where it is missing */
  struct lm_addr *next;
};

struct lm_addr_list {
  struct lm_addr *first;
  size_t count;    /* entries, group marks too */
  size_t defects;  /* what breaks the grammar or had to be guessed */
  const char *why; /* the first of them, static words */
  size_t offset;   /* ... and where in the text */
};

/* A header field's value (raw, folds and all), or what a user typed. Entries and their text lie in
** the arena or in `text` itself. Comments are dropped, save as a name where no other stands. Linear
** time. False only when memory is short. */
bool lm_addr_list(struct lm_arena *a, struct lm_str text, struct lm_addr_list *out);

enum lm_addr_null {
  LM_ADDR_NULL_REFUSED, /* a recipient */
  LM_ADDR_NULL_TAKEN    /* a sender: "" and "<>" are the null path, local and domain are empty */
};

/* One mailbox for MAIL FROM or RCPT TO: `a@b`, `"a b"@c`, `<a@b>` or `Name <a@b>`. The domain comes
** out in A-labels. False with words in *why_out where it is refused (kind "invalid"), with NULL there
** when memory is short. */
bool lm_addr_envelope(struct lm_arena *a, struct lm_str text, enum lm_addr_null null,
                      struct lm_addr *out, const char **why_out);

/* True where lm_addr_envelope would take the text and give it back octet by octet, without SMTPUTF8: a plain
** `local@domain` in ASCII. Most addresses are, and are known for it in one pass. */
bool lm_addr_is_plain(struct lm_str text);

/* One addr-spec as strictly, the domain as it is written. The same failures. */
bool lm_addr_strict(struct lm_arena *a, struct lm_str text, struct lm_addr *out,
                    const char **why_out);

/* "local@domain", the local part quoted where it must be; empty for a null path or no address.
** False only when memory is short. */
bool lm_addr_spec(struct lm_arena *a, const struct lm_addr *addr, struct lm_str *out);

/* A name for a header field: as it stands, quoted, or in encoded words (never folded). False with
** words where it holds CR, LF, NUL or is not UTF-8; with NULL when memory is short. */
bool lm_addr_phrase(struct lm_arena *a, struct lm_str name, struct lm_str *out,
                    const char **why_out);

/* `Name <local@domain>`, or `local@domain` without a name. The same failures. */
bool lm_addr_format(struct lm_arena *a, const struct lm_addr *addr, struct lm_str *out,
                    const char **why_out);

#endif
