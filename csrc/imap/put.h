/*
** put.h: the rules of scan.h in reverse: how a text is written so that it arrives as it was.
**
** Atom where that is possible, quoted where no byte forbids it, else a literal (RFC 9051 §4.3,
** §9). Nothing here writes a CR, LF or NUL outside a literal's content.
*/
#ifndef LM_IMAP_PUT_H
#define LM_IMAP_PUT_H

#include "base/buf.h"

enum lm_put_form { LM_PUT_ATOM, LM_PUT_QUOTED, LM_PUT_LITERAL };

/* The shortest form in which `s` may go: as an astring, or as a string (never LM_PUT_ATOM). With
** `utf8` the server takes UTF-8 in quoted strings. */
enum lm_put_form lm_put_astring_form(struct lm_str s, bool utf8);
enum lm_put_form lm_put_string_form(struct lm_str s, bool utf8);

/* Appends `s` in quotes; only for LM_PUT_QUOTED. */
bool lm_put_quoted(struct lm_buf *b, struct lm_str s);

/* What the server takes without being asked first: nothing, up to 4096 octets (LITERAL-, RFC 7888),
** or anything (LITERAL+). */
enum lm_put_nonsync { LM_PUT_SYNC, LM_PUT_MINUS, LM_PUT_PLUS };

/* True where a literal of `n` octets need not wait for "+". */
bool lm_put_needs_no_wait(enum lm_put_nonsync allowed, uint64_t n);

/* Appends the announcement: "~" with `binary`, "{n}" or "{n+}", CRLF. */
bool lm_put_literal_head(struct lm_buf *b, uint64_t n, bool binary, bool wait);

/* Appends a date-time in UTC, quoted: "17-Jul-1996 02:44:25 +0000". The year must be 1 to 9999;
** false where it is not, or memory is short. */
bool lm_put_date_time(struct lm_buf *b, int64_t seconds);

#endif
