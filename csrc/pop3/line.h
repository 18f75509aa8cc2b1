/*
** line.h: the lines of POP3, one grammar each (RFC 1939, RFC 2449 §3).
**
** Complete lines only, without their CRLF; cutting the stream into lines, and taking the dots off,
** is the session's work. What servers are known to leave out or to add is read, never guessed: a
** value that is not there is reported as not there.
*/
#ifndef LM_POP3_LINE_H
#define LM_POP3_LINE_H

#include "base/lm.h"

enum lm_pop3_word {
  LM_POP3_OK,        /* "+OK" */
  LM_POP3_ERR,       /* "-ERR" */
  LM_POP3_CHALLENGE, /* "+": more is wanted by AUTH (RFC 1734) */
  LM_POP3_NONSENSE   /* no reply of POP3 */
};

/* A status line; all text points into the line. */
struct lm_pop3_reply {
  enum lm_pop3_word word;
  struct lm_str code; /* what stood between brackets, e.g. "IN-USE", "SYS/TEMP"; may be empty */
  struct lm_str text; /* behind the code; of a challenge, its base64 */
};

struct lm_pop3_reply lm_pop3_reply(struct lm_str line);

/* The timestamp of a greeting (RFC 1939 §7), with its angle brackets: the first word in it that is
** a valid msg-id. Empty where there is none: anything looser lets a server collect digests of texts
** that it chose (CVE-2007-1558). */
struct lm_str lm_pop3_timestamp(struct lm_str text);

/* A line of LIST or UIDL, or an answer to STAT. */
struct lm_pop3_item {
  uint32_t number; /* of the message, or of messages */
  bool has_size;
  uint64_t size;
  struct lm_str uid; /* empty where the line has none */
};

/* "number size", of LIST lines and (count, octets) of STAT; more words are passed over. False where
** it does not begin with a number. A size that is missing or no number is left out. */
bool lm_pop3_scan(struct lm_str line, struct lm_pop3_item *item_out);

/* "number unique-id". False where it does not begin with a number of a message. */
bool lm_pop3_unique(struct lm_str line, struct lm_pop3_item *item_out);

/* A line of CAPA: its name and what follows. False where there is no name. */
bool lm_pop3_capability(struct lm_str line, struct lm_str *name_out, struct lm_str *rest_out);

/* The next line of a collected answer, without its end; false when there is none. */
bool lm_pop3_next_line(struct lm_str *rest, struct lm_str *line_out);

#endif
