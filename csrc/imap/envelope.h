/*
** envelope.h: ENVELOPE of a FETCH answer (RFC 9051 §7.5.2, §9 "envelope").
**
** Subject and display names are decoded to UTF-8; the rest is as it came. Borrowed from the
** response, or in the cursor's arena.
*/
#ifndef LM_IMAP_ENVELOPE_H
#define LM_IMAP_ENVELOPE_H

#include "imap/value.h"

/* One entry of an address list. host NULL: mailbox is the name of a group that begins here;
** mailbox NULL too: the group ends (RFC 9051 §7.5.2). */
struct lm_imap_address {
  struct lm_imap_address *next;
  struct lm_str name; /* p is NULL for NIL, everywhere here */
  struct lm_str mailbox;
  struct lm_str host;
};

enum lm_imap_addresses {
  LM_IMAP_FROM,
  LM_IMAP_SENDER,
  LM_IMAP_REPLY_TO,
  LM_IMAP_TO,
  LM_IMAP_CC,
  LM_IMAP_BCC,
  LM_IMAP_ADDRESS_LISTS
};

struct lm_imap_envelope {
  struct lm_str date;
  struct lm_str subject;
  struct lm_imap_address *list[LM_IMAP_ADDRESS_LISTS]; /* sender and reply_to may be from itself */
  struct lm_str in_reply_to;
  struct lm_str message_id;
};

/* Parses an envelope, parentheses included. */
bool lm_imap_envelope(struct lm_cursor *c, struct lm_imap_envelope *out);

/* Makes the best of a value tree where an envelope should be: what is missing or of the wrong kind
** is absent. False only where memory is short (the cursor has failed). */
bool lm_imap_envelope_of(struct lm_cursor *c, const struct lm_imap_value *v,
                         struct lm_imap_envelope *out);

#endif
